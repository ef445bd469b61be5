"""Choose what a free slot runs next: the rules of scheduling, as pure functions over a snapshot.

The snapshot holds groups and their queues, never single jobs but each queue's head, so a decision
costs the same whatever waits behind the heads. In this order:

1. class: priority, plus one for each ageing step waited;
2. stay: the slot's own group, if it is among the best, costs no install;
3. fair share among orgs: least recent usage first;
4. untouched before held; among untouched, what is installed here, then most expected work;
5. join a held group only if its next job, install included, would end here before the holders
   are through with all of it; of several, the one that would last longest.

A lane (a group without a build) needs no install, so it is never held and never split.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

AGEING_STEP = 600.0  # seconds of waiting that are worth one class of priority


def rank(submitted_at: float, priority: int) -> float:
    """The fixed key by which jobs are ordered; smaller starts sooner.

    The number of the ageing step in which a job was submitted, less its priority. As all jobs age
    alike the order never changes, and no sweep has to update anything. Jobs of one step and one
    priority are equals, among which the longest may go first.
    """
    return float(math.floor(submitted_at / AGEING_STEP) - priority)


def class_of(rank: float, now: float) -> int:
    """The class that a rank means by now; higher starts sooner."""
    return math.floor(now / AGEING_STEP) - int(rank)


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A queued job near the head of its queue, ordered as jobs start: by rank, then the most
    work behind it (``behind`` is minus its bottom level, in seconds), then by submission."""

    rank: float
    behind: float
    seq: int


@dataclass(frozen=True, slots=True)
class Queue:
    """Queued jobs of one group that share submitter and limits, so they fit or not together."""

    id: int
    submitted_by: str
    head: Candidate


@dataclass(frozen=True, slots=True)
class Group:
    """A group with queued work that nothing forbids to start.

    ``build`` is "" for a lane. ``work`` is the expected seconds of all its queued jobs, ``jobs``
    their number, ``holders`` the number of other slots that hold it, ``busy`` the expected seconds
    that what runs on these will take yet, installs included.
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
    max_holders: int | None = None

    @property
    def is_lane(self) -> bool:
        """Whether its jobs need no install."""
        return not self.build

    @property
    def best(self) -> Candidate:
        """The job that starts first."""
        return min(queue.head for queue in self.queues)

    @property
    def may_be_joined(self) -> bool:
        """Whether one more slot may hold it."""
        return self.is_lane or self.max_holders is None or self.holders < self.max_holders


@dataclass(frozen=True, slots=True)
class Slot:
    """A free slot: the ``target`` it serves (None: any), the group whose build is installed on it,
    if any, and what an install takes there, in seconds."""

    target: str | None
    group: int | None = None
    install_seconds: float = 60.0


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
    """What a slot shall take from; ``installs`` if it must install the group's build before."""

    group: Group
    queue: Queue
    installs: bool


def choose(slot: Slot, groups: Iterable[Group], usage: Usage, now: float) -> Choice | None:
    """What a free slot runs next; None if it should rather stay idle."""
    classes: dict[int, list[Group]] = {}
    for group in groups:
        if slot.target in (None, group.target) and group.queues:
            classes.setdefault(class_of(group.best.rank, now), []).append(group)
    for best in sorted(classes, reverse=True):
        chosen = _among(slot, classes[best], usage)
        if chosen is not None:
            installs = not chosen.is_lane and chosen.id != slot.group
            return Choice(chosen, _queue(chosen, usage, now), installs)
    return None


def _among(slot: Slot, equals: list[Group], usage: Usage) -> Group | None:
    """The best of the groups of one class."""
    for group in equals:
        if group.id == slot.group and not group.is_lane:
            return group
    untouched = [g for g in equals if g.is_lane or (not g.holders and g.may_be_joined)]
    if untouched:
        least = min(usage.of_org(g.target, g.org_id) for g in untouched)
        mine = [g for g in untouched if usage.of_org(g.target, g.org_id) <= least]
        return min(mine, key=_before)
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

    What counts is that job: it is the longest, and it waits for the install. How long it takes is
    known from what is behind it, but that may be jobs which are not queued yet, so not beyond
    ``work``.
    """
    return install + min(-group.best.behind, group.work) < _left(group)


def _queue(group: Group, usage: Usage, now: float) -> Queue:
    """Among submitters of equal class, the one who has used least."""
    return min(
        group.queues,
        key=lambda queue: (
            -class_of(queue.head.rank, now),
            usage.of_submitter(group, queue.submitted_by),
            queue.head,
        ),
    )
