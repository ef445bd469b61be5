"""Choose what a free slot runs next: the rules of scheduling, as pure functions over a snapshot.

The snapshot holds groups and their queues, never single jobs but each queue's head, so a decision
costs the same whatever waits behind the heads. In this order:

1. class: priority, plus one for each ageing step waited, up to the highest priority that waits;
2. stay: the slot's own group, if it is among the best, for a turn: that costs no install;
3. fair share among orgs: least recent usage first;
4. the oldest ageing step of the org; in it the slot's own group, else untouched before held: the
   one with most expected work;
5. join a held group only if its next job, install included, would end here before the holders
   are through with all of it; of several, the one that would last longest. The longest jobs are
   left to holders that will be free before the install is over.

A lane (a group without a build) needs no install, so it is never held and never split.

Ageing makes equals of classes, it puts nobody above the others: were an org's backlog to rise
above fresh jobs of its own priority, another org would wait for all of it. So nothing starves: what
has aged to the top stays there, shares are even among those at the top, and an org serves its
oldest first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

AGEING_STEP = 600.0  # seconds of waiting that are worth one class of priority
TURN = 600.0  # seconds for which an install is good: so long others of equal class have to wait
HIGH = 8  # the priority from which the order of submission counts more than length


def rank(submitted_at: float, priority: int) -> float:
    """The fixed key by which jobs are ordered; smaller starts sooner.

    The number of the ageing step in which a job was submitted, less its priority. As all jobs age
    alike the order never changes, and no sweep has to update anything. Jobs of one step and one
    priority are equals, among which the longest may go first.
    """
    return float(math.floor(submitted_at / AGEING_STEP) - priority)


def class_of(rank: float, now: float) -> int:
    """The class that a rank means by now, however high; higher starts sooner."""
    return math.floor(now / AGEING_STEP) - int(rank)


def work_behind(priority: int, expected: float, bottom_level: float) -> float:
    """The seconds by which jobs of equal rank are ordered, the most first: the longest path of jobs
    that starts with this one. Long ones first let devices end together.

    Where there is a hurry the first result counts more than the last, and long ones first are the
    worst for all others: of high priority a job counts by what waits for it, not by itself.
    """
    return max(0.0, bottom_level - expected) if priority >= HIGH else bottom_level


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A queued job near the head of its queue, ordered as jobs start: by rank, then the most
    work behind it (``behind`` is minus that, in seconds), then by submission. ``expected`` are the
    seconds that it takes itself."""

    rank: float
    behind: float
    seq: int
    expected: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Queue:
    """Queued jobs of one group that share submitter, limits and priority: they fit or not together,
    and none is more urgent than its head."""

    id: int
    submitted_by: str
    head: Candidate
    priority: int = 5


@dataclass(frozen=True, slots=True)
class Group:
    """A group with queued work that nothing forbids to start.

    ``build`` is "" for a lane. ``work`` is the expected seconds of all its queued jobs, ``jobs``
    their number, ``holders`` the number of other slots that hold it, ``busy`` the expected seconds
    that what runs on these will take yet, installs included, and ``soon`` how many of them will be
    free before an install on this slot could be over.
    """

    id: int
    org_id: str
    target: str
    build: str
    queues: tuple[Queue, ...]
    work: float = 0.0
    jobs: int = 0
    holders: int = 0
    busy: float = 0.0
    soon: int = 0
    max_holders: int | None = None
    best: Candidate = field(init=False, compare=False, repr=False)  # the job that starts first

    def __post_init__(self) -> None:
        if self.queues:  # kept, as each choice asks it of every group
            object.__setattr__(self, "best", min(queue.head for queue in self.queues))

    @property
    def is_lane(self) -> bool:
        """Whether its jobs need no install."""
        return not self.build

    @property
    def may_be_joined(self) -> bool:
        """Whether one more slot may hold it."""
        return self.is_lane or self.max_holders is None or self.holders < self.max_holders


@dataclass(frozen=True, slots=True)
class Slot:
    """A free slot: the ``target`` it serves (None: any), the group whose build is installed on it,
    if any, for how many seconds it has been, and how many an install takes there."""

    target: str | None
    group: int | None = None
    install_seconds: float = 60.0
    held_for: float = 0.0


@dataclass(slots=True)
class Usage:
    """Recent slot seconds, decayed and divided by weight, by (target, org, submitter)."""

    seconds: dict[tuple[str, str, str], float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)  # of orgs; 1 unless given
    _orgs: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for (target, org, _), seconds in self.seconds.items():
            self._orgs[target, org] = self._orgs.get((target, org), 0.0) + self._share(org, seconds)

    def charge(self, target: str, org: str, submitter: str, seconds: float) -> None:
        """Count what was just given away, so that the next slot goes to somebody else."""
        key = (target, org, submitter)
        self.seconds[key] = self.seconds.get(key, 0.0) + seconds
        self._orgs[target, org] = self.of_org(target, org) + self._share(org, seconds)

    def of_org(self, target: str, org: str) -> float:
        """What an org has used of a target."""
        return self._orgs.get((target, org), 0.0)

    def of_submitter(self, group: Group, submitter: str) -> float:
        """What somebody has used of a group's target for its org."""
        return self.seconds.get((group.target, group.org_id, submitter), 0.0)

    def _share(self, org: str, seconds: float) -> float:
        return seconds / self.weights.get(org, 1.0)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a slot shall take from; ``installs`` if it must install the group's build before.
    It leaves the first ``leaves`` jobs of the queue, as far as there are others, to the holders
    that will be free before it has: the longest are not for the one who comes last."""

    group: Group
    queue: Queue
    installs: bool
    leaves: int = 0


def choose(slot: Slot, groups: Iterable[Group], usage: Usage, now: float) -> Choice | None:
    """What a free slot runs next; None if it should rather stay idle."""
    fitting = [g for g in groups if g.queues and slot.target in (None, g.target)]
    top = max((queue.priority for group in fitting for queue in group.queues), default=0)
    beyond = class_of(0.0, now) - top  # the rank from which on ageing raises nothing
    classes: dict[float, list[Group]] = {}
    for group in fitting:
        classes.setdefault(max(group.best.rank, beyond), []).append(group)
    for best in sorted(classes):
        chosen = _among(slot, classes[best], usage)
        if chosen is not None:
            installs = not chosen.is_lane and chosen.id != slot.group
            leaves = chosen.soon if installs else 0
            return Choice(chosen, _queue(chosen, usage, now), installs, leaves)
    return None


def _among(slot: Slot, equals: list[Group], usage: Usage) -> Group | None:
    """The best of the groups of one class."""
    own = next((g for g in equals if g.id == slot.group and not g.is_lane), None)
    if own is not None and slot.held_for < TURN:
        return own
    of_orgs: dict[tuple[str, str], list[Group]] = {}
    for group in equals:
        if group is own or group.is_lane or (not group.holders and group.may_be_joined):
            of_orgs.setdefault((group.target, group.org_id), []).append(group)
    if of_orgs:
        least = min(usage.of_org(*org) for org in of_orgs)
        mine = [g for org, some in of_orgs.items() if usage.of_org(*org) <= least for g in some]
        oldest = min(group.best.rank for group in mine)
        old = [group for group in mine if group.best.rank == oldest]
        return next((group for group in old if group is own), None) or min(old, key=_before)
    joined = [g for g in equals if g.may_be_joined and _ends_sooner(g, slot.install_seconds)]
    return max(joined, key=lambda g: (_left(g), -g.id), default=None)


def _before(group: Group) -> tuple[float, Candidate]:
    """Most expected work first; lanes, where it does not matter, by their heads."""
    return (0.0 if group.is_lane else -group.work, group.best)


def _left(group: Group) -> float:
    """How long its holders will be busy with it, if nobody joins them."""
    return (group.work + group.busy) / group.holders


def _ends_sooner(group: Group, install: float) -> bool:
    """Whether one more holder would help: its first job must end before the others are through.

    What counts is that job: it is mostly the longest, and it waits for the install.
    """
    return install + group.best.expected < _left(group)


def _queue(group: Group, usage: Usage, now: float) -> Queue:
    """Among submitters of equal class, the one who has used least."""
    top = max(queue.priority for queue in group.queues)
    return min(
        group.queues,
        key=lambda queue: (
            -min(class_of(queue.head.rank, now), top),
            usage.of_submitter(group, queue.submitted_by),
            queue.head,
        ),
    )
