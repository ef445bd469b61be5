"""Forecast: when a queued job will start, by letting the policy decide on into the future.

A simulation over the same ``choose`` that decides for real, with what jobs are expected to take in
the place of time that passes. It knows nothing of what will be submitted meanwhile.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from runyard.policy.choose import Candidate, Choice, Group, Queue, Slot, Usage, choose
from runyard.policy.fits import Placed, Rules

MOST_LOOKS = 200_000  # at groups, by all decisions together: about half a second


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job, and the seconds it is expected to take."""

    candidate: Candidate
    seconds: float


@dataclass(frozen=True, slots=True)
class Line:
    """A queue with the first of the jobs that wait in it, in the order in which they start."""

    id: int
    placed: Placed
    submitted_by: str
    jobs: Sequence[Waiting]
    priority: int = 5


@dataclass(frozen=True, slots=True)
class Place:
    """A slot that is in order: the targets that it serves, and what runs on it, if anything, for
    how many more seconds."""

    slot: Slot
    serves: frozenset[str]
    seconds: float = 0.0
    runs: Placed | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """All that a forecast is made from, as of ``now``. ``groups`` come without their queues."""

    now: float
    places: Sequence[Place]
    groups: Mapping[int, Group]
    lines: Sequence[Line]
    rules: Rules
    usage: Usage


@dataclass(frozen=True, slots=True)
class Forecast:
    """The job starts in ``seconds``, when ``before`` others have started that could have run where
    it can. ``is_reached`` is False if the look ahead ended first: then both are at least so."""

    seconds: float
    before: int
    is_reached: bool = True


def forecast(outlook: Outlook, goal: int, target: str, scale: float = 1.0) -> Forecast:
    """When the job with the number ``goal``, which needs ``target``, starts if all jobs and
    installs take ``scale`` times what is expected of them."""
    return _Simulation(outlook, scale).until(goal, target)


@dataclass(slots=True)
class _Simulation:
    outlook: Outlook
    scale: float
    rules: Rules = field(init=False)
    usage: Usage = field(init=False)
    groups: dict[int, Group] = field(init=False)
    left: dict[int, list[Waiting]] = field(init=False)  # by queue, the last comes first
    installed: list[int | None] = field(init=False)  # by place, the group
    since: list[float] = field(init=False)  # by place, when that was installed
    runs: list[Placed | None] = field(init=False)  # by place
    free_at: list[float] = field(init=False)  # by place
    events: list[tuple[float, int]] = field(init=False)  # when which place is free

    def __post_init__(self) -> None:
        places = self.outlook.places
        self.rules = self.outlook.rules.copy()
        self.usage = Usage(dict(self.outlook.usage.seconds), self.outlook.usage.weights)
        self.groups = dict(self.outlook.groups)
        self.left = {line.id: list(reversed(line.jobs)) for line in self.outlook.lines}
        self.installed = [place.slot.group for place in places]
        self.since = [-place.slot.held_for for place in places]
        self.runs = [place.runs for place in places]
        self.free_at = [place.seconds * self.scale for place in places]
        self.events = [(at, n) for n, at in enumerate(self.free_at)]
        heapq.heapify(self.events)

    def until(self, goal: int, target: str) -> Forecast:
        idle: set[int] = set()
        before, looks, now = 0, 0, 0.0
        while self.events and looks < MOST_LOOKS:
            now, free = heapq.heappop(self.events)
            if (ended := self.runs[free]) is not None:
                self.rules.release(ended)
                self.runs[free] = None
            idle.add(free)
            for place in sorted(idle):
                looks += len(self.groups)
                choice = self._choose(place, now)
                if choice is None:
                    continue
                idle.discard(place)
                job = self._start(place, choice, now)
                if job.candidate.seq == goal:
                    return Forecast(now, before)
                before += target in self.outlook.places[place].serves
        return Forecast(now, before, is_reached=False)

    def _choose(self, place: int, now: float) -> Choice | None:
        serves = self.outlook.places[place].serves
        open_queues: dict[int, list[Queue]] = {}
        for line in self.outlook.lines:
            left = self.left[line.id]
            if left and line.placed.target in serves and self.rules.allow(line.placed):
                queue = Queue(line.id, line.submitted_by, left[-1].candidate, line.priority)
                open_queues.setdefault(line.placed.group_id, []).append(queue)
        seen = [
            self._seen_from(place, self.groups[group], tuple(queues), now)
            for group, queues in open_queues.items()
        ]
        slot = replace(
            self.outlook.places[place].slot,
            group=self.installed[place],
            held_for=now - self.since[place],
        )
        return choose(slot, seen, self.usage, self.outlook.now + now)

    def _seen_from(self, place: int, group: Group, queues: tuple[Queue, ...], now: float) -> Group:
        others = [n for n, held in enumerate(self.installed) if held == group.id and n != place]
        left = [max(0.0, self.free_at[n] - now) / self.scale for n in others]
        install = self.outlook.places[place].slot.install_seconds
        soon = sum(seconds < install for seconds in left)
        return replace(group, queues=queues, holders=len(left), busy=sum(left), soon=soon)

    def _start(self, place: int, choice: Choice, now: float) -> Waiting:
        line = next(line for line in self.outlook.lines if line.id == choice.queue.id)
        left = self.left[line.id]
        job = left.pop(max(0, len(left) - 1 - choice.leaves))
        group = self.groups[choice.group.id]
        self.groups[group.id] = replace(
            group, work=max(0.0, group.work - job.seconds), jobs=max(0, group.jobs - 1)
        )
        if not group.is_lane:
            self.installed[place] = group.id
        self.rules.count(line.placed)
        self.runs[place] = line.placed
        self.usage.charge(group.target, group.org_id, line.submitted_by, job.seconds)
        install = self.outlook.places[place].slot.install_seconds if choice.installs else 0.0
        if choice.installs:
            self.since[place] = now + self.scale * install
        self.free_at[place] = now + self.scale * (install + job.seconds)
        heapq.heappush(self.events, (self.free_at[place], place))
        return job
