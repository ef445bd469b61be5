"""How many jobs a second can be submitted, and how much memory does that take?

One batch of 100,000 jobs, given as a generator of dicts to ``Runyard.submit_batch`` in a process
of its own. Beside it the bare driver writes as many narrow rows in one transaction: what the
database could do if jobs needed no check, no id, no index and no history.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from statistics import median

import psycopg

from benchmarks.support import (
    POSTGRESQL,
    SQLITE,
    TIMES,
    Bench,
    Figure,
    Place,
    alternate,
    ratio,
    say,
    seconds,
)

FLOORS = {SQLITE: 30_000, POSTGRESQL: 15_000}  # jobs a second
MEMORY_FLOOR = 300  # MB
RSS_UNIT = 1 if sys.platform == "darwin" else 1024
NARROW = "CREATE TABLE narrow (seq INTEGER PRIMARY KEY, name TEXT)"

RawWrite = Callable[[Place, int], float]  # the seconds that the bare driver takes


def run(bench: Bench) -> Iterator[Figure]:
    """Rate and memory for each database."""
    count, rounds = bench.size(100_000, 20_000), bench.size(5, 3)
    for kind, raw in ((SQLITE, raw_sqlite), (POSTGRESQL, raw_postgresql)):
        growth: list[float] = []
        rates, peers = alternate(
            rounds,
            partial(runyard_rate, bench, kind, count, growth),
            partial(raw_rate, bench, kind, count, raw),
        )
        beside = f"{ratio(rates, peers):.2f} {TIMES} the bare driver's {median(peers):,.0f} rows/s"
        say(f"{kind}: {median(rates):,.0f} jobs/s, {beside}")
        yield Figure(f"submit {kind}", median(rates), "jobs/s", FLOORS[kind], beside=beside)
        yield Figure(
            f"submit {kind}, memory",
            median(growth),
            "MB",
            MEMORY_FLOOR,
            less_is_better=True,
            beside=f"growth of the process over a batch of {count:,}",
        )


def runyard_rate(bench: Bench, kind: str, count: int, growth: list[float]) -> float:
    """Jobs a second; adds the growth of memory in MB to ``growth``."""
    with bench.place(kind) as place:
        command = [
            sys.executable,
            "-m",
            "benchmarks.submit",
            str(place.home),
            place.url,
            str(count),
        ]
        answer = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    growth.append(answer["bytes"] / 1e6)
    return count / float(answer["seconds"])


def raw_rate(bench: Bench, kind: str, count: int, write: RawWrite) -> float:
    """Rows a second of the bare driver, committed to disk."""
    with bench.place(kind) as place:
        return count / write(place, count)


def raw_sqlite(place: Place, count: int) -> float:
    """Seconds for one ``executemany``."""
    place.settings.home.prepare()
    path = place.settings.home.database
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(NARROW)

        def write() -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO narrow VALUES (?, ?)", rows(count))
            connection.execute("COMMIT")

        return seconds(write)


def raw_postgresql(place: Place, count: int) -> float:
    """Seconds for one ``COPY``."""
    url = place.url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url) as connection:
        connection.execute(NARROW)
        connection.commit()

        def write() -> None:
            with connection.cursor().copy("COPY narrow FROM STDIN") as copy:
                for row in rows(count):
                    copy.write_row(row)
            connection.commit()

        return seconds(write)


def rows(count: int) -> Iterator[tuple[int, str]]:
    """Rows with a number and a name."""
    return ((n, f"job-{n}") for n in range(count))


def _submit(home: str, url: str, count: int) -> None:
    """In a fresh process: submit, and print how long it took and how far memory grew."""
    from runyard import Runyard

    with Runyard(home, url, background_worker=False) as yard:
        before = _peak()
        jobs = ({"command": ["true"], "name": f"job-{n}"} for n in range(count))
        taken = seconds(lambda: yard.submit_batch(jobs))
        print(json.dumps({"seconds": taken, "bytes": _peak() - before}))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


if __name__ == "__main__":
    _submit(sys.argv[1], sys.argv[2], int(sys.argv[3]))
