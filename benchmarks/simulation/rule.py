"""Runyard's own rule: the real policy, given the same snapshot that the store would give it."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from benchmarks.simulation.engine import Device
from benchmarks.simulation.instances import Task
from runyard.policy.choose import Candidate, Group, Queue, Slot, Usage, choose, rank, work_behind
from runyard.policy.share import decayed

TARGET = "emulator"


class Runyard:
    """Queues by build and submitter, tallies of work and usage, and ``choose`` over them."""

    def __init__(self, install: float = 60.0) -> None:
        self._install = install
        self._queues: dict[tuple[int, str, int], list[tuple[Candidate, Task]]] = {}
        self._ids: dict[tuple[int, str, int], int] = {}
        self._usage: dict[tuple[str, str, str], tuple[float, float]] = {}

    def add(self, task: Task) -> None:
        """A task arrives."""
        key = (task.build, task.submitter, task.priority)
        self._ids.setdefault(key, len(self._ids))
        behind = work_behind(task.priority, task.expected, task.expected)
        head = Candidate(rank(task.arrives, task.priority), -behind, task.id, task.expected)
        heapq.heappush(self._queues.setdefault(key, []), (head, task))

    def take(self, device: Device, devices: Sequence[Device], now: float) -> Task | None:
        """What policy chooses."""
        slot = Slot(TARGET, device.build, self._install, now - device.installed)
        choice = choose(slot, self.groups(device, devices, now), self.usage(now), now)
        if choice is None:
            return None
        key = (choice.group.id, choice.queue.submitted_by, choice.queue.priority)
        queued = self._queues[key]
        task = heapq.nsmallest(choice.leaves + 1, queued)[-1][1] if choice.leaves else queued[0][1]
        left = [one for one in queued if one[1] is not task]
        heapq.heapify(left)
        if left:
            self._queues[key] = left
        else:
            del self._queues[key]
        self._charge(task, task.expected, now)
        return task

    def ended(self, task: Task, now: float) -> None:
        """Correct what was charged to what it took."""
        self._charge(task, task.seconds - task.expected, now)

    def groups(self, device: Device, devices: Sequence[Device], now: float) -> Iterable[Group]:
        """The open groups, as the store would show them for a free device."""
        parts: dict[int, list[tuple[int, str, int]]] = {}
        for key in self._queues:
            parts.setdefault(key[0], []).append(key)
        return [self._group(build, keys, device, devices, now) for build, keys in parts.items()]

    def usage(self, now: float) -> Usage:
        """Who has used how much, by now."""
        return Usage(
            {key: decayed(seconds, now - at) for key, (seconds, at) in self._usage.items()}
        )

    def _group(
        self,
        build: int,
        keys: list[tuple[int, str, int]],
        device: Device,
        devices: Sequence[Device],
        now: float,
    ) -> Group:
        tasks = [task for key in keys for _, task in self._queues[key]]
        holding = [other for other in devices if other.build == build and other is not device]
        return Group(
            build,
            tasks[0].org,
            TARGET,
            f"build-{build}",
            tuple(Queue(self._ids[key], key[1], self._queues[key][0][0], key[2]) for key in keys),
            work=sum(task.expected for task in tasks),
            jobs=len(tasks),
            holders=len(holding),
            busy=sum(_left(other, now) for other in holding),
            soon=sum(_left(other, now) < self._install for other in holding),
        )

    def _charge(self, task: Task, seconds: float, now: float) -> None:
        key = (TARGET, task.org, task.submitter)
        used, at = self._usage.get(key, (0.0, now))
        self._usage[key] = (decayed(used, now - at) + seconds, now)


def _left(device: Device, now: float) -> float:
    """What its task is expected to take yet, with any install."""
    if device.task is None:
        return 0.0
    return max(0.0, device.starts + device.task.expected - now)
