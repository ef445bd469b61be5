"""Does a claim cost more while a million jobs wait than while ten thousand do?

One transaction finishes a job and claims the next one, as a worker's does. It runs against a small
and a large queue in turn; the ratio of the two costs must stay near 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median

from benchmarks.support import DATABASES, TIMES, Bench, Figure, alternate, ratio, say, seconds
from runyard import bootstrap
from runyard.domain.ids import batch_id, job_ids
from runyard.domain.lifecycle import Cause, Outcome
from runyard.store.claim import Claim, Claimer, claim
from runyard.store.database import Store, Tx
from runyard.store.finish import Ended, finish
from runyard.store.submit import NewBatch, NewJob, submit
from runyard.store.yard import FreeSlot

FLOOR = 1.5  # times the cost with a small queue
SMALL, LARGE = 10_000, 1_000_000
CHUNK = 50_000  # jobs of one submission
TRANSACTIONS = 100  # of one round
PASSED = Outcome(Cause.EXITED, exit_code=0, cpu_seconds=0.001, max_rss_bytes=1 << 20)
SPEC = '{"command":["true"]}'


class Queue:
    """A database full of queued jobs, and a worker's hold on one of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._claimer = Claimer("worker-bench", lease_seconds=600.0)
        self._held: list[Claim] = []

    def fill(self, count: int) -> None:
        """Submit jobs, each chunk as a batch."""
        for start in range(0, count, CHUNK):
            new = [_job(fresh) for fresh in job_ids(min(CHUNK, count - start))]
            batch = NewBatch(batch_id(), "", "default")
            self._store.write(partial(submit, new=new, batch=batch))

    def cost(self) -> float:
        """The median microseconds of some transactions, each with its commit."""
        return median(seconds(self._step) for _ in range(TRANSACTIONS)) * 1e6

    def _step(self) -> None:
        self._held = self._store.write(self._finish_and_claim, relaxed=True)

    def _finish_and_claim(self, tx: Tx) -> list[Claim]:
        finish(tx, [Ended(held.seq, held.fence, PASSED) for held in self._held])
        return claim(tx, self._claimer, [FreeSlot("1")])


def run(bench: Bench) -> Iterator[Figure]:
    """One figure for each database."""
    large = bench.size(LARGE, LARGE // 10)
    for kind in DATABASES:
        with ExitStack() as stack:
            few = stack.enter_context(_filled(bench, kind, SMALL))
            many = stack.enter_context(_filled(bench, kind, large))
            alternate(1, many.cost, few.cost)  # connects and compiles
            costs, peers = alternate(bench.size(9, 5), many.cost, few.cost)
        beside = (
            f"{median(costs):,.0f} µs with {large:,} queued; {median(peers):,.0f} with {SMALL:,}"
        )
        say(f"{kind}: {beside}")
        yield Figure(
            f"claim_cost {kind}",
            ratio(costs, peers),
            f"{TIMES} small queue",
            FLOOR,
            less_is_better=True,
            beside=beside,
        )


@contextmanager
def _filled(bench: Bench, kind: str, count: int) -> Iterator[Queue]:
    with bench.place(kind) as place:
        store = bootstrap.open_store(place.settings)
        queue = Queue(store)
        taken = seconds(partial(queue.fill, count))
        say(f"{kind}: {count:,} jobs submitted in {taken:.0f} s")
        yield queue
        store.close()


def _job(fresh: str) -> NewJob:
    return NewJob(
        id=fresh,
        name="",
        spec=SPEC,
        org_id="default",
        target="local",
        app_version_id=None,
        priority=5,
        run_after=None,
    )
