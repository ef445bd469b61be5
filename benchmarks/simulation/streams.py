"""Work that arrives over time: five orgs, three priorities, suites of many sizes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

from benchmarks.simulation.instances import NOISE, PRIORITIES, Instance, Task, seconds

ORGS = 5
DEVICES = 8
HOURS = 8.0
LATER = 900.0  # seconds
LOAD = 0.7  # of the devices' time, by tests alone: installs come on top
MEAN_SIZE, MEAN_SECONDS = 13.0, 55.0  # of a suite, of a test


def stream(seed: int, load: float = LOAD, hours: float = HOURS) -> Instance:
    """A working day: each suite has its own build, and its org, priority and hour are random."""
    random = Random(seed)
    every = MEAN_SIZE * MEAN_SECONDS / (DEVICES * load)
    numbers, now, tasks = count(), 0.0, list[Task]()
    for build in count():
        now += random.expovariate(1 / every)
        if now > hours * 3600:
            return Instance(seed, DEVICES, tuple(tasks))
        priority = random.choices(PRIORITIES, (3, 5, 2))[0]
        tasks += _suite(random, numbers, build, random.randrange(ORGS), priority, now)
    raise AssertionError("unreachable")


def backlog(seed: int) -> Instance:
    """Five orgs that all have more to do than there is time for, however long they queue: each has
    many suites, but those of the last are four times as large as those of the first."""
    random = Random(seed)
    numbers, tasks = count(), list[Task]()
    for build in range(ORGS * 24):
        org = build % ORGS
        tasks += _suite(random, numbers, build, org, PRIORITIES[1], 0.0, 1 + 3 * org / (ORGS - 1))
    return Instance(seed, DEVICES, tuple(tasks))


def latecomers(seed: int) -> Instance:
    """Five orgs that have as much to do, but each comes a quarter of an hour after the one before:
    by then the first has work for hours."""
    random = Random(seed)
    numbers, tasks = count(), list[Task]()
    for build in range(ORGS * 24):
        org = build % ORGS
        tasks += _suite(random, numbers, build, org, PRIORITIES[1], org * LATER, 4)
    return Instance(seed, DEVICES, tuple(tasks))


def _suite(
    random: Random,
    numbers: Iterator[int],
    build: int,
    org: int,
    priority: int,
    now: float,
    scale: float = 1.0,
) -> Iterator[Task]:
    size = min(80, int(5 * scale * random.paretovariate(1.4)))
    for _ in range(size):
        truth = seconds(random)
        expected = truth * (1 + NOISE * random.uniform(-1, 1))
        name = f"org-{org}"
        yield Task(next(numbers), build, truth, expected, name, name, priority, now)
