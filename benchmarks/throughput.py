"""How many jobs a second does one worker run, beside xargs?

2,000 times ``true`` on 4 slots. Runyard keeps every job, attempt and event in a database and the
output in files meanwhile; xargs keeps nothing. The clock runs from the start of a worker that
finds its batch already submitted until the last job is final.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from functools import partial
from statistics import median

from benchmarks import peers
from benchmarks.support import (
    DATABASES,
    POSTGRESQL,
    SQLITE,
    TIMES,
    Bench,
    Figure,
    alternate,
    ratio,
    say,
)
from runyard import bootstrap
from runyard.domain.job import FINAL, JobSpec
from runyard.engine.observer import Observer
from runyard.engine.worker import WorkerOptions
from runyard.store.finish import Finished

SLOTS = 4
LIMITS = {SQLITE: (0.6, 0.75), POSTGRESQL: (0.45, 0.6)}  # floor and aim, in rates of xargs


class LastJob(Observer):
    """Notes when the last of ``count`` jobs became final, and then lets the worker leave."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.at = 0.0

    def finished(self, finished: Finished) -> None:
        self._left -= sum(move.transition.to in FINAL for move in finished.moves)
        if self._left == 0:
            self.at = time.perf_counter()

    def is_done(self) -> bool:
        return self._left == 0


def run(bench: Bench) -> Iterator[Figure]:
    """One figure for each database, and one for each other runner that was asked for."""
    count, rounds = bench.size(2000, 500), bench.size(5, 3)
    for kind in DATABASES:
        yield _beside_xargs(bench, kind, count, rounds)
    if bench.peers:
        yield from _beside_others(bench, count, rounds)


def _beside_xargs(bench: Bench, kind: str, count: int, rounds: int) -> Figure:
    runyard_rate(bench, kind, count // 10)  # the first of its kind imports and compiles
    rates, xargs = alternate(
        rounds, partial(runyard_rate, bench, kind, count), partial(xargs_rate, count)
    )
    floor, aim = LIMITS[kind]
    beside = f"{median(rates):,.0f} jobs/s; xargs {median(xargs):,.0f}"
    say(f"{kind}: {beside}")
    return Figure(
        f"throughput {kind}", ratio(rates, xargs), f"{TIMES} xargs", floor, aim, beside=beside
    )


def _beside_others(bench: Bench, count: int, rounds: int) -> Iterator[Figure]:
    for peer in peers.PEERS:
        with peers.installed(peer) as rate:
            if rate is None:
                say(f"{peer.name} cannot be installed here and is left out")
                continue
            ours, theirs = alternate(
                rounds,
                partial(runyard_rate, bench, SQLITE, count),
                partial(rate, count, SLOTS),
            )
        beside = f"{median(ours):,.0f} jobs/s; {peer.name} {median(theirs):,.0f} ({peer.how})"
        say(beside)
        yield Figure(
            f"throughput, {peer.name}", ratio(ours, theirs), f"{TIMES} {peer.name}", beside=beside
        )


def runyard_rate(bench: Bench, kind: str, count: int) -> float:
    """Jobs a second of a worker of this process, with its launcher and all its loops."""
    last = LastJob(count)
    with bench.place(kind) as place:
        store = bootstrap.open_store(place.settings)
        jobs = bootstrap.jobs(place.settings, store)
        batch = jobs.submit_batch([JobSpec(command=["true"])] * count)
        worker = bootstrap.worker(place.settings, store, WorkerOptions(SLOTS), last)
        began = time.perf_counter()
        with worker:
            worker.run()
        passed = jobs.get_batch(batch.id).passed
        store.close()
    if passed != count:
        raise RuntimeError(f"only {passed} of {count} jobs passed")
    return count / (last.at - began)


def xargs_rate(count: int) -> float:
    """Commands a second of xargs."""
    arguments = "\n".join(map(str, range(count))).encode()
    began = time.perf_counter()
    subprocess.run(["xargs", f"-P{SLOTS}", "-n1", "true"], input=arguments, check=True)
    return count / (time.perf_counter() - began)
