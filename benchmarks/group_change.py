"""What does it cost a slot to change to another build while a thousand groups wait?

One transaction finishes the last job of a group and claims the first one of another, as a worker's
does that has looked at all groups before. It runs beside ten and beside a thousand groups in turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median

from benchmarks.claim_cost import PASSED
from benchmarks.support import DATABASES, TIMES, Bench, Figure, alternate, ratio, say, seconds
from runyard import bootstrap
from runyard.domain.job import JobSpec, Kind
from runyard.service.jobs import Jobs
from runyard.store import registry, tallies
from runyard.store.claim import Claim, Claimer, claim
from runyard.store.database import Store, Tx
from runyard.store.finish import Ended, finish
from runyard.store.registry import WorkerInfo
from runyard.store.yard import FreeSlot

FLOOR = 6.0  # times the cost with few groups
FEW, MANY = 10, 1_000
CHANGES = 10  # of one round: so many groups come, and are used up
WORKER, SLOT, TARGET = "worker-bench", "phone-1", "phone"


class Yard:
    """A database with so many groups of one job each, and the only slot that serves them."""

    def __init__(self, store: Store, jobs: Jobs, count: int) -> None:
        self._store = store
        self._jobs = jobs
        self._claimer = Claimer(WORKER, lease_seconds=600.0)
        self._held: list[Claim] = []
        self._builds = 0
        info = WorkerInfo(WORKER, "host", 1, 1, "", None, ((SLOT, TARGET),))
        store.write(partial(registry.sign_on, info=info))
        self._add(count)
        self._change()

    def cost(self) -> float:
        """The median microseconds of some changes, each with its commit."""
        self._add(CHANGES)  # in the place of those that are about to be used up
        self._change()  # which reads those
        return median(seconds(self._change) for _ in range(CHANGES - 1)) * 1e6

    def _add(self, count: int) -> None:
        builds = range(self._builds, self._builds + count)
        self._builds += count
        self._jobs.submit_batch(
            [
                JobSpec(kind=Kind.TEST, command="test", target=TARGET, app_version_id=str(build))
                for build in builds
            ]
        )
        self._store.write(tallies.fold)

    def _change(self) -> None:
        self._held = self._store.write(self._finish_and_claim, relaxed=True)

    def _finish_and_claim(self, tx: Tx) -> list[Claim]:
        finish(tx, [Ended(held.seq, held.fence, PASSED) for held in self._held])
        group = self._held[0].group_id if self._held else None
        return claim(tx, self._claimer, [FreeSlot(SLOT, TARGET, group)])


def run(bench: Bench) -> Iterator[Figure]:
    """One figure for each database."""
    for kind in DATABASES:
        with ExitStack() as stack:
            few = stack.enter_context(_yard(bench, kind, FEW))
            many = stack.enter_context(_yard(bench, kind, MANY))
            alternate(1, many.cost, few.cost)  # compiles
            costs, peers = alternate(bench.size(9, 5), many.cost, few.cost)
        beside = f"{median(costs):,.0f} µs with {MANY:,} groups; {median(peers):,.0f} with {FEW}"
        say(f"{kind}: {beside}")
        yield Figure(
            f"group_change {kind}",
            ratio(costs, peers),
            f"{TIMES} few groups",
            FLOOR,
            less_is_better=True,
            beside=beside,
        )


@contextmanager
def _yard(bench: Bench, kind: str, count: int) -> Iterator[Yard]:
    with bench.place(kind) as place:
        store = bootstrap.open_store(place.settings)
        yield Yard(store, bootstrap.jobs(place.settings, store), count)
        store.close()
