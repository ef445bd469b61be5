"""What one decision costs: the policy alone, and a claim with everything around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from statistics import median
from time import perf_counter

from benchmarks.support import Bench, say, seconds
from runyard import bootstrap
from runyard.domain.ids import batch_id, job_ids
from runyard.domain.lifecycle import Cause, Outcome
from runyard.policy.choose import Candidate, Group, Queue, Slot, Usage, choose, rank
from runyard.store import tallies
from runyard.store.claim import Claim, Claimer, claim
from runyard.store.database import Store, Tx
from runyard.store.finish import Ended, finish
from runyard.store.registry import WorkerInfo, sign_on
from runyard.store.submit import NewBatch, NewJob, submit
from runyard.store.yard import FreeSlot

CHUNK = 50_000  # jobs of one submission
TRANSACTIONS = 60  # of one round
PASSED = Outcome(Cause.EXITED, exit_code=0, cpu_seconds=0.001, max_rss_bytes=1 << 20)
SPEC = '{"command":["true"]}'
WORKER, SLOT, TARGET = "worker-bench", "1", "emulator"
NOW = 1_000_000.0


def of_choice(groups: int, rounds: int) -> float:
    """The milliseconds that policy takes to choose among so many groups, half of them held."""
    random = Random(groups)
    seen = [_group(random, number) for number in range(groups)]
    used = {(TARGET, f"org-{org}", "somebody"): random.random() * 1000 for org in range(5)}
    slot = Slot(TARGET, group=None)
    return (
        median(seconds(partial(choose, slot, seen, Usage(dict(used)), NOW)) for _ in range(rounds))
        * 1000
    )


def _group(random: Random, number: int) -> Group:
    head = Candidate(rank(NOW - random.random() * 600, 5), -random.random() * 100, number)
    return Group(
        number,
        f"org-{number % 5}",
        TARGET,
        f"build-{number}",
        (Queue(number, "somebody", head),),
        work=random.random() * 1000,
        jobs=20,
        holders=number % 2,
        busy=10.0 * (number % 2),
    )


class Claiming:
    """A store with queued jobs of some groups, and a slot that finishes one and claims the next."""

    def __init__(self, store: Store, groups: int) -> None:
        self._store = store
        self._groups = groups
        self._claimer = Claimer(WORKER, lease_seconds=600.0)
        self._held: list[Claim] = []
        self._slot = FreeSlot(SLOT, TARGET)
        self._claimed_in = 0.0
        info = WorkerInfo(WORKER, "host", 1, 1, places=((SLOT, TARGET),))
        store.write(partial(sign_on, info=info))

    def fill(self, count: int) -> None:
        """Submit jobs, the groups in turn, each chunk as a batch."""
        for start in range(0, count, CHUNK):
            fresh = job_ids(min(CHUNK, count - start))
            new = [_job(one, f"build-{n % self._groups}") for n, one in enumerate(fresh)]
            batch = NewBatch(batch_id(), "", "default")
            self._store.write(partial(submit, new=new, batch=batch))
            self._store.write(tallies.fold)

    def cost(self) -> float:
        """The median milliseconds of some transactions, each with its commit. As many jobs as
        they took are submitted again."""
        taken = [seconds(self._step) for _ in range(TRANSACTIONS)]
        self.fill(TRANSACTIONS)
        return median(taken) * 1000

    def switch(self) -> tuple[float, float]:
        """The milliseconds of one that has to look for another group: of the claim alone, and of
        all. What changes meanwhile is folded as often as a promoter does."""
        self._slot = FreeSlot(SLOT, TARGET)
        whole = seconds(self._step) * 1000
        with self._store.read() as tx:
            is_due = tallies.is_due(tx)
        if is_due:
            self._store.write(tallies.fold)
        return self._claimed_in * 1000, whole

    def _step(self) -> None:
        self._held = self._store.write(self._finish_and_claim, relaxed=True)
        self._slot = FreeSlot(SLOT, TARGET, self._held[0].group_id)

    def _finish_and_claim(self, tx: Tx) -> list[Claim]:
        finish(tx, [Ended(held.seq, held.fence, PASSED) for held in self._held])
        tx.flush()
        begin = perf_counter()
        try:
            return claim(tx, self._claimer, [self._slot])
        finally:
            self._claimed_in = perf_counter() - begin


@contextmanager
def filled(bench: Bench, kind: str, jobs: int, groups: int) -> Iterator[Claiming]:
    """A fresh store of a kind with so many queued jobs in so many groups."""
    with bench.place(kind) as place:
        store = bootstrap.open_store(place.settings)
        claiming = Claiming(store, groups)
        taken = seconds(partial(claiming.fill, jobs))
        say(f"{kind}: {jobs:,} jobs of {groups:,} groups submitted in {taken:.0f} s")
        yield claiming
        store.close()


def _job(fresh: str, build: str) -> NewJob:
    return NewJob(
        id=fresh,
        name="",
        spec=SPEC,
        org_id="default",
        target=TARGET,
        app_version_id=build,
        priority=5,
        run_after=None,
        expected=40.0,
        bottom_level=40.0,
    )
