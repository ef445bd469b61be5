"""How soon does an idle worker start a job that another process submits?

The job is ``date``, which writes down the time as its first act. The clock starts just before the
submit, which writes to the disk, and for a second figure just after its commit. Beside it: a bare
``date``, started by Python without Runyard.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from benchmarks.support import (
    DATABASES,
    TIMES,
    Bench,
    Figure,
    Place,
    alternate,
    p95,
    program,
    ratio,
    say,
)
from runyard import bootstrap
from runyard.domain.job import JobSpec
from runyard.service.jobs import Jobs

FLOOR = 30.0  # ms, from before the submit, of 95 in 100 jobs
DATE = ["date", "+%s%N"]


@dataclass(slots=True)
class Submitter:
    """Submits one job at a time to an idle worker."""

    jobs: NotingJobs
    since_commit: list[float] = field(default_factory=list)

    def delay(self) -> float:
        """Milliseconds from before the submit until the job's own first act."""
        time.sleep(random.uniform(0.01, 0.04))  # at any moment of the worker's sleep
        began = time.time()
        job = self.jobs.submit(JobSpec(command=DATE))
        self.jobs.wait([job.id], timeout=60.0)
        started = int(self.jobs.logs(job.id)[0]) / 1e9
        self.since_commit.append((started - self.jobs.committed_at) * 1000)
        return (started - began) * 1000


class NotingJobs(Jobs):
    """Notes when a submit has been committed: just before it wakes the workers."""

    committed_at = 0.0

    def wake_workers(self) -> None:
        self.committed_at = time.time()
        super().wake_workers()


def run(bench: Bench) -> Iterator[Figure]:
    """Two figures for each database."""
    count = bench.size(200, 60)
    for kind in DATABASES:
        with bench.place(kind) as place, _worker(place), _submitter(place) as submitter:
            alternate(3, submitter.delay, bare_delay)
            submitter.since_commit.clear()
            delays, bare = alternate(count, submitter.delay, bare_delay)
        beside = (
            f"median {median(delays):.1f}, {ratio(delays, bare):.0f} {TIMES} a bare spawn's"
            f" {median(bare):.1f} (p95 {p95(bare):.1f})"
        )
        say(f"{kind}: p95 {p95(delays):.1f} ms, {beside}")
        figure = partial(Figure, unit="ms p95", less_is_better=True)
        yield figure(f"latency {kind}", p95(delays), floor=FLOOR, beside=beside)
        commits = submitter.since_commit
        beside = f"median {median(commits):.1f}"
        yield figure(f"latency {kind}, since commit", p95(commits), beside=beside)


def bare_delay() -> float:
    """Milliseconds from before a spawn until the command's own first act."""
    began = time.time()
    output = subprocess.check_output(DATE, stdin=subprocess.DEVNULL)
    return (int(output) / 1e9 - began) * 1000


@contextmanager
def _submitter(place: Place) -> Iterator[Submitter]:
    store = bootstrap.open_store(place.settings)
    yield Submitter(NotingJobs(store, place.settings.home, bootstrap.operator()))
    store.close()


@contextmanager
def _worker(place: Place) -> Iterator[None]:
    """``runyard worker`` in a process of its own."""
    bootstrap.open_store(place.settings).close()
    with subprocess.Popen(
        [program("runyard"), "worker", "--slots", "2"],
        env=place.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as worker:
        try:
            yield
        finally:
            worker.terminate()
