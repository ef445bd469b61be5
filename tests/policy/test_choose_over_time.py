"""What the choices of many slots add up to: nobody starves, shares are even, devices end together.

A yard in virtual time over the same ``choose`` that decides for real.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runyard.policy.choose import (
    AGEING_STEP,
    TURN,
    Candidate,
    Group,
    Queue,
    Slot,
    Usage,
    choose,
    class_of,
    rank,
)

TARGET = "emulator"
INSTALL = 60.0
FOREVER = float("inf")


@dataclass
class Waiting:
    """A job of a yard that is simulated second by second."""

    seq: int
    group: int
    seconds: float
    priority: int
    arrives: float
    org: str = "acme"

    @property
    def candidate(self) -> Candidate:
        return Candidate(rank(self.arrives, self.priority), -self.seconds, self.seq, self.seconds)

    @property
    def queue(self) -> Queue:
        """What it waits in, if it is the first there."""
        return Queue(100 * self.group + self.priority, self.org, self.candidate, self.priority)


@dataclass
class Yard:
    """Slots with their groups and what runs on them; each choice is kept with what waited."""

    slots: int
    builds: bool = True
    usage: Usage = field(default_factory=Usage)
    queued: list[Waiting] = field(default_factory=list)
    ends: list[tuple[float, int]] = field(default_factory=list)
    installed: dict[int, int] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)
    started: list[tuple[float, Waiting, list[Waiting]]] = field(default_factory=list)

    def run(self, jobs: Sequence[Waiting], until: float) -> None:
        coming = sorted(jobs, key=lambda job: job.arrives)
        idle, now = set(range(self.slots)), 0.0
        while now < until and (coming or self.ends or self.queued):
            events = [job.arrives for job in coming[:1]] + [end for end, _ in self.ends[:1]]
            if not events:
                raise AssertionError("jobs wait although all slots idle")
            now = min(events)
            while coming and coming[0].arrives <= now:
                self.queued.append(coming.pop(0))
            while self.ends and self.ends[0][0] <= now:
                idle.add(heapq.heappop(self.ends)[1])
            idle -= {slot for slot in sorted(idle) if self._give(slot, now)}

    def _give(self, slot: int, now: float) -> bool:
        held_for = now - self.since.get(slot, 0.0)
        where = Slot(TARGET, self.installed.get(slot), INSTALL, held_for)
        choice = choose(where, self._groups(slot, now), self.usage, now)
        if choice is None:
            return False
        job = next(job for job in self.queued if job.seq == choice.queue.head.seq)
        self.queued.remove(job)
        if self.builds:
            self.installed[slot] = job.group
        if choice.installs:
            self.since[slot] = now + INSTALL
        self.usage.charge(TARGET, job.org, job.org, job.seconds)
        self.started.append((now, job, list(self.queued)))
        heapq.heappush(self.ends, (now + INSTALL * choice.installs + job.seconds, slot))
        return True

    def _groups(self, slot: int, now: float) -> list[Group]:
        found = []
        for number in {job.group for job in self.queued}:
            jobs = [job for job in self.queued if job.group == number]
            heads: dict[int, Queue] = {}
            for job in sorted(jobs, key=lambda job: job.candidate):
                heads.setdefault(job.priority, job.queue)
            others = [n for n, on in self.installed.items() if on == number and n != slot]
            found.append(
                Group(
                    number,
                    jobs[0].org,
                    TARGET,
                    f"v{number}" if self.builds else "",
                    tuple(heads.values()),
                    work=sum(job.seconds for job in jobs),
                    jobs=len(jobs),
                    holders=len(others),
                    busy=sum(end - now for end, n in self.ends if n in others),
                )
            )
        return found


arrivals = st.lists(
    st.builds(
        Waiting,
        seq=st.just(0),
        group=st.integers(1, 4),
        seconds=st.floats(1.0, 200.0),
        priority=st.sampled_from([2, 5, 8]),
        arrives=st.floats(0.0, 3000.0),
    ),
    min_size=1,
    max_size=40,
).map(lambda jobs: [replace(job, seq=n) for n, job in enumerate(jobs)])


@given(arrivals, st.integers(1, 4), st.booleans())
def test_everything_is_run_in_the_end(jobs: list[Waiting], slots: int, builds: bool) -> None:
    yard = Yard(slots, builds)
    yard.run(jobs, until=FOREVER)
    assert sorted(job.seq for _, job, _ in yard.started) == [job.seq for job in jobs]


@given(arrivals, st.booleans())
def test_one_slot_never_starts_a_job_while_a_higher_class_waits(
    jobs: list[Waiting], builds: bool
) -> None:
    """The only thing to wait for is what runs already."""
    yard = Yard(1, builds)
    yard.run(jobs, until=FOREVER)
    for now, job, waiting in yard.started:
        top = max(other.priority for other in [job, *waiting])
        classes = [min(class_of(other.candidate.rank, now), top) for other in waiting]
        assert min(class_of(job.candidate.rank, now), top) >= max(classes, default=0)


@given(arrivals, st.integers(2, 4))
def test_no_slot_passes_a_higher_class_but_to_leave_it_to_its_holder(
    jobs: list[Waiting], slots: int
) -> None:
    yard = Yard(slots, builds=False)  # nobody holds a lane: there is no excuse
    yard.run(jobs, until=FOREVER)
    for now, job, waiting in yard.started:
        top = max(other.priority for other in [job, *waiting])
        classes = [min(class_of(other.candidate.rank, now), top) for other in waiting]
        assert min(class_of(job.candidate.rank, now), top) >= max(classes, default=0)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("every", [15.0, 30.0])  # twice what can be done, and just as much
def test_a_low_job_is_not_starved_by_a_stream_of_normal_ones(slots: int, every: float) -> None:
    """It is three classes lower: what comes more than three steps later comes after it. Steps are
    counted whole, so it may be one more."""
    stream = [Waiting(n, 1, 30.0, 5, every * n / slots) for n in range(1000)]
    low = Waiting(1000, 2, 30.0, 2, 0.0)
    yard = Yard(slots)
    yard.run([*stream, low], until=15_000.0)
    order = [job for _, job, _ in yard.started]
    before = order[: order.index(low)]
    assert max(job.arrives for job in before) < 4 * AGEING_STEP


@given(
    st.lists(st.floats(1.0, 100.0), min_size=10, max_size=60),
    st.lists(st.floats(1.0, 100.0), min_size=10, max_size=60),
    st.integers(1, 4),
)
def test_orgs_that_both_wait_never_differ_by_more_than_a_job(
    ours: list[float], theirs: list[float], slots: int
) -> None:
    jobs = [Waiting(n, 1, took, 5, 0.0, "acme") for n, took in enumerate(ours)]
    jobs += [Waiting(100 + n, 2, took, 5, 0.0, "umbrella") for n, took in enumerate(theirs)]
    yard = Yard(slots, builds=False)
    yard.run(jobs, until=FOREVER)
    got = {"acme": 0.0, "umbrella": 0.0}
    for _, job, waiting in yard.started:
        got[job.org] += job.seconds
        if {other.org for other in waiting} == {"acme", "umbrella"}:
            assert abs(got["acme"] - got["umbrella"]) <= max(*ours, *theirs)


@given(st.lists(st.integers(1, 12), min_size=4, max_size=12), st.integers(1, 3))
def test_orgs_that_share_by_builds_never_differ_by_more_than_a_group_for_each_slot(
    sizes: list[int], slots: int
) -> None:
    jobs = [
        Waiting(100 * number + n, number, 20.0, 5, 0.0, ("acme", "umbrella")[number % 2])
        for number, size in enumerate(sizes)
        for n in range(size)
    ]
    yard = Yard(slots)
    yard.run(jobs, until=FOREVER)
    got = {"acme": 0.0, "umbrella": 0.0}
    for _, job, waiting in yard.started:
        got[job.org] += job.seconds
        if {other.org for other in waiting} == {"acme", "umbrella"}:
            assert abs(got["acme"] - got["umbrella"]) <= 20.0 * max(sizes) * (slots + 1)


def test_two_hundred_jobs_of_one_build_and_an_idle_second_slot_end_together() -> None:
    yard = Yard(2)
    yard.run([Waiting(n, 1, 10.0, 5, 0.0) for n in range(200)], until=FOREVER)
    last = [max(end for end, job, _ in yard.started if job.seq % 2 == side) for side in (0, 1)]
    assert len(yard.installed) == 2
    assert abs(last[0] - last[1]) <= 10.0
    assert max(last) == pytest.approx(INSTALL + 99 * 10.0)


def test_groups_of_one_slot_are_contiguous() -> None:
    """Three builds, submitted interleaved: three installs."""
    builds = [1, 2, 3, 1, 2, 1, 3, 1, 2, 1]
    yard = Yard(1)
    yard.run([Waiting(n, b, 10.0, 5, float(n)) for n, b in enumerate(builds)], until=FOREVER)
    ran = [job.group for _, job, _ in yard.started]
    assert sum(a != b for a, b in zip([None, *ran], ran, strict=False)) == 3


@settings(max_examples=30)
@given(st.floats(0.0, 3 * AGEING_STEP), st.integers(1, 3), st.booleans())
def test_an_org_that_comes_late_does_not_wait_for_the_backlog_of_another(
    late: float, slots: int, one_build: bool
) -> None:
    """Each slot gives up its build after a turn at most, were all jobs of the first of one."""
    jobs = [Waiting(n, 1 if one_build else 1 + n // 10, 100.0, 5, 0.0) for n in range(100)]
    jobs += [Waiting(100 + n, 100, 100.0, 5, late, "umbrella") for n in range(5)]
    yard = Yard(slots)
    yard.run(jobs, until=late + 2 * TURN)
    began = min(now for now, job, _ in yard.started if job.org == "umbrella")
    assert began - late <= TURN + INSTALL + 2 * 100.0
