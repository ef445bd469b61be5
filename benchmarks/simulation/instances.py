"""What there is to schedule: seeded, so that every run and every rule sees the same work."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

INSTALL = 60.0  # seconds that a build takes to install
MEDIAN, SPREAD = 40.0, 0.8  # of a test's seconds, log-normal
NOISE = 0.5  # an estimate is off by up to this part of the truth, either way
NORMAL = 5
PRIORITIES = (2, 5, 8)  # low, normal, high


@dataclass(frozen=True, slots=True)
class Task:
    """One test: what it truly takes, and what history expects of it."""

    id: int
    build: int
    seconds: float
    expected: float
    org: str = "org"
    submitter: str = "somebody"
    priority: int = NORMAL
    arrives: float = 0.0


@dataclass(frozen=True, slots=True)
class Instance:
    """Devices, what an install takes on them, and the tests that they have to run."""

    seed: int
    devices: int
    tasks: tuple[Task, ...]
    install: float = INSTALL

    @property
    def builds(self) -> int:
        """The number of builds, which is the least number of installs."""
        return len({task.build for task in self.tasks})

    @property
    def bound(self) -> float:
        """No schedule of tasks that are all there from the start ends before this."""
        work = sum(task.seconds for task in self.tasks) + self.builds * self.install
        return max(work / self.devices, max(t.seconds for t in self.tasks) + self.install)


def suites(seed: int, noise: float = 0.0) -> Instance:
    """A night's work: 30 builds, a few of them with most of the tests, on 8 devices."""
    random = Random(seed)
    sizes = [min(200, int(5 * random.paretovariate(1.2))) for _ in range(30)]
    return Instance(seed, 8, _mixed(random, sizes, noise))


def small(seed: int, noise: float = 0.0) -> Instance:
    """So little that its optimum can be found: 3 or 4 devices, 4 to 8 builds, 20 to 40 tests."""
    random = Random(seed)
    builds = random.randint(4, 8)
    weights = [random.paretovariate(1.2) for _ in range(builds)]
    of = random.choices(range(builds), weights, k=random.randint(20, 40) - builds)
    sizes = [1 + of.count(build) for build in range(builds)]
    return Instance(seed, random.randint(3, 4), _mixed(random, sizes, noise))


def _mixed(random: Random, sizes: list[int], noise: float) -> tuple[Task, ...]:
    """The tests of all builds in the order of a busy day: any. Noise changes nothing else."""
    builds = [build for build, size in enumerate(sizes) for _ in range(size)]
    random.shuffle(builds)
    times = [seconds(random) for _ in builds]
    off = [1 + noise * random.uniform(-1, 1) for _ in builds]
    return tuple(
        Task(number, build, truth, truth * error)
        for number, (build, truth, error) in enumerate(zip(builds, times, off, strict=True))
    )


def seconds(random: Random) -> float:
    """What a test takes."""
    return MEDIAN * random.lognormvariate(0.0, SPREAD)
