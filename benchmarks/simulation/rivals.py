"""Other rules to stand beside: FIFO, strict priority, sticky and longest-first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.simulation.engine import Device
from benchmarks.simulation.instances import Task


class Ordered:
    """One queue for all devices, in a fixed order; installs are paid for as they come."""

    def __init__(self, key: Callable[[Task], Any]) -> None:
        self._key = key
        self._heap: list[tuple[Any, int, Task]] = []

    def add(self, task: Task) -> None:
        """A task arrives."""
        heapq.heappush(self._heap, (self._key(task), task.id, task))

    def take(self, device: Device, devices: Sequence[Device], now: float) -> Task | None:
        """The first of the order."""
        return heapq.heappop(self._heap)[-1] if self._heap else None

    def ended(self, task: Task, now: float) -> None:
        """Nothing to learn."""


class Sticky:
    """One device for each build, until its tests are done; builds in order of submission."""

    def __init__(self) -> None:
        self._queued: dict[int, list[Task]] = {}

    def add(self, task: Task) -> None:
        """A task arrives."""
        self._queued.setdefault(task.build, []).append(task)

    def take(self, device: Device, devices: Sequence[Device], now: float) -> Task | None:
        """The next of the device's own build, or of one that no device has."""
        held = {other.build for other in devices}
        own = device.build if device.build in self._queued else None
        build = own if own is not None else next((b for b in self._queued if b not in held), None)
        if build is None:
            return None
        tasks = self._queued[build]
        task = tasks.pop(0)
        if not tasks:
            del self._queued[build]
        return task

    def ended(self, task: Task, now: float) -> None:
        """Nothing to learn."""


def fifo() -> Ordered:
    """In order of submission."""
    return Ordered(lambda task: task.arrives)


def strict_priority() -> Ordered:
    """By priority, then in order of submission."""
    return Ordered(lambda task: (-task.priority, task.arrives))


def pure_priority() -> Ordered:
    """By priority, then in order of submission, the longest test of a suite first: the mean wait is
    longer so, and the end may come sooner."""
    return Ordered(lambda task: (-task.priority, task.arrives, -task.expected))


def longest_first() -> Ordered:
    """By expected seconds, whatever is installed where."""
    return Ordered(lambda task: -task.expected)
