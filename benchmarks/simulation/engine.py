"""The yard itself: events in the order of a virtual clock, and what became of every task."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from benchmarks.simulation.instances import Instance, Task


@dataclass(slots=True)
class Device:
    """A place to run tests, the build that is on it and, while it is busy, its task."""

    number: int
    build: int | None = None
    task: Task | None = None
    starts: float = 0.0  # when the task itself begins, after any install
    ends: float = 0.0
    installed: float = 0.0  # when the install of its build was over


class Rule(Protocol):
    """A way to decide what a free device runs next."""

    def add(self, task: Task) -> None:
        """A task arrives."""

    def take(self, device: Device, devices: Sequence[Device], now: float) -> Task | None:
        """Take out the task that the device shall run now; None if it shall stay idle."""

    def ended(self, task: Task, now: float) -> None:
        """A task has ended."""


@dataclass(frozen=True, slots=True)
class Span:
    """One task on one device. It is claimed, its build is installed if need be, it runs."""

    task: Task
    device: int
    claimed: float
    starts: float
    ends: float

    @property
    def installs(self) -> bool:
        """Whether the build had to be installed before."""
        return self.starts > self.claimed

    @property
    def wait(self) -> float:
        """How long nobody had looked after the task."""
        return self.claimed - self.task.arrives


@dataclass(slots=True)
class Run:
    """What became of an instance."""

    instance: Instance
    spans: list[Span] = field(default_factory=list)

    @property
    def makespan(self) -> float:
        """When the last task ended."""
        return max(span.ends for span in self.spans)

    @property
    def installs(self) -> int:
        """How often a build was installed."""
        return sum(span.installs for span in self.spans)

    @property
    def stretch(self) -> float:
        """The makespan, as a multiple of what no schedule can beat."""
        return self.makespan / self.instance.bound

    @property
    def excess(self) -> float:
        """The installs, as a multiple of the least."""
        return self.installs / self.instance.builds


def simulate(instance: Instance, rule: Rule) -> Run:
    """Let a rule run an instance to its end."""
    run = Run(instance)
    devices = [Device(number) for number in range(instance.devices)]
    ending: list[tuple[float, int]] = []
    arrivals = _arrivals(instance)
    while arrivals or ending:
        now = min([at for at, _ in arrivals[-1:]] + [at for at, _ in ending[:1]])
        while ending and ending[0][0] <= now:
            _end(devices[heapq.heappop(ending)[1]], rule, now)
        if arrivals and arrivals[-1][0] <= now:
            for arriving in arrivals.pop()[1]:
                rule.add(arriving)
        idle = [device for device in devices if device.task is None]
        for device in sorted(idle, key=lambda device: -device.ends):  # who was just free asks first
            if (task := rule.take(device, devices, now)) is not None:
                run.spans.append(_start(device, task, now, instance.install))
                heapq.heappush(ending, (device.ends, device.number))
    assert len(run.spans) == len(instance.tasks), "a rule left tasks behind"
    return run


def _arrivals(instance: Instance) -> list[tuple[float, list[Task]]]:
    """What arrives when; the first is the last of the list, to be taken from its end."""
    ordered = sorted(instance.tasks, key=lambda task: (-task.arrives, task.id))
    return [(at, list(tasks)) for at, tasks in groupby(ordered, key=lambda task: task.arrives)]


def _start(device: Device, task: Task, now: float, install: float) -> Span:
    device.starts = now if device.build == task.build else now + install
    if device.build != task.build:
        device.installed = device.starts
    device.build, device.task, device.ends = task.build, task, device.starts + task.seconds
    return Span(task, device.number, now, device.starts, device.ends)


def _end(device: Device, rule: Rule, now: float) -> None:
    task, device.task = device.task, None
    assert task is not None
    rule.ended(task, now)
