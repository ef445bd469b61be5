"""How long does the command line take to answer?

Whole processes, from the call to the exit, beside a Python that does nothing and one that imports
only the database library.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from statistics import median

from benchmarks.support import (
    SQLITE,
    TIMES,
    Bench,
    Figure,
    alternate,
    p95,
    program,
    ratio,
    say,
    seconds,
)
from runyard import Runyard

HELP_FLOOR, STATUS_FLOOR = 0.25, 0.4  # seconds


def run(bench: Bench) -> Iterator[Figure]:
    """``--help``, ``status``, and for information the first command of a new home."""
    with bench.place(SQLITE) as place:
        with Runyard(place.home, place.url, background_worker=False) as yard:
            job = yard.submit(["true"])
        runyard, environment = program("runyard"), place.environment
        commands = (
            [runyard, "--help"],
            [runyard, "status", job.id],
            [sys.executable, "-c", "pass"],
            [sys.executable, "-c", "import sqlalchemy"],
        )
        sides = [partial(_time, command, environment) for command in commands]
        alternate(1, *sides)  # writes what Python keeps compiled
        helped, status, bare, library = alternate(bench.size(15, 10), *sides)
    beside = _against(helped, bare, "python -c pass")
    yield _figure("startup --help", helped, beside, HELP_FLOOR)
    beside = _against(status, library, "import sqlalchemy")
    yield _figure("startup status", status, beside, STATUS_FLOOR)
    [first] = alternate(bench.size(5, 3), partial(_first_time, bench))
    yield _figure("startup in a new home", first, f"init-db; p95 {p95(first):.3f}")


def _figure(name: str, taken: list[float], beside: str, floor: float | None = None) -> Figure:
    say(f"{name}: {median(taken):.3f} s, {beside}")
    return Figure(name, median(taken), "s", floor, less_is_better=True, beside=beside)


def _against(taken: list[float], peer: list[float], name: str) -> str:
    times = f"{ratio(taken, peer):.1f} {TIMES} {name}'s {median(peer):.3f}"
    return f"p95 {p95(taken):.3f}; {times}"


def _first_time(bench: Bench) -> float:
    with bench.place(SQLITE) as place:
        return _time([program("runyard"), "init-db"], place.environment)


def _time(command: list[str], environment: Mapping[str, str]) -> float:
    call = partial(subprocess.run, command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return seconds(call)
