"""What is known of a batch while it runs: written by who follows it, read by who shows it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runyard.domain.event import EventKind
from runyard.domain.job import FINAL, Job, JobSpec, Reason, State


@dataclass(frozen=True, slots=True)
class Start:
    """An attempt began. ``key`` is what its task was placed under, ``at`` is monotonic; ``place``
    is the device that it has, and ``installs`` the build that it begins with, if any."""

    key: Hashable
    at: float
    fence: int = 0
    place: str = ""
    installs: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """A task left ``state`` behind: it ended, or its attempt of that fence did."""

    key: Hashable
    at: float
    state: State
    event: EventKind
    fence: int | None = 0
    reason: Reason | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class News:
    """A task ended, or failed and will be tried again; ``seconds`` it ran, if it did, and
    ``place`` is the device that it had, if any."""

    index: int
    end: End
    seconds: float | None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt of a task; ``since`` is monotonic, ``installs`` the build that it began with."""

    index: int
    fence: int
    since: float
    place: str = ""
    installs: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A moment, in monotonic seconds; of ``running`` the longest first."""

    total: int
    counts: Counter[State]
    running: list[Running]
    now: float
    elapsed: float

    @property
    def done(self) -> int:
        """How many tasks are final."""
        return sum(self.counts.values())


class Board:
    """Cheap to write: a worker that finishes thousands of jobs a second waits for it."""

    def __init__(self, specs: Sequence[JobSpec]) -> None:
        self.specs = specs
        self._index: dict[Hashable, int] = {}
        self._states: list[State | None] = [None] * len(specs)
        self._counts: Counter[State] = Counter()
        self._running: dict[int, Running] = {}  # by index
        self._news: list[News | str] = []
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def place(self, keys: Sequence[Hashable]) -> None:
        """What the tasks are called from now on, in the file's order."""
        self._index = {key: index for index, key in enumerate(keys)}
        self._began = time.monotonic()

    def claimed(self, starts: Sequence[Start]) -> None:
        """These attempts start now."""
        with self._lock:
            for start in starts:
                index = self._index[start.key]
                self._running[index] = Running(
                    index, start.fence, start.at, start.place, start.installs
                )
                self._settle(index, State.RUNNING)

    def finished(self, ends: Sequence[End]) -> None:
        """These ended, some perhaps jobs elsewhere that waited for ours."""
        with self._lock:
            for end in ends:
                index = self._index.get(end.key)
                if index is None:
                    continue
                ended = self._end_attempt(index, end.fence)
                if self._states[index] is end.state:
                    continue  # we have compared meanwhile
                if end.state in FINAL or end.event is EventKind.RETRIED:
                    self._settle(index, end.state)
                    self._news.append(_news(index, end, ended))

    @property
    def is_done(self) -> bool:
        """Whether every task is final."""
        with self._lock:
            return sum(self._counts.values()) == len(self.specs)

    def spec_of(self, key: Hashable) -> JobSpec:
        """What was asked for under that name."""
        return self.specs[self._index[key]]

    def compare(self, jobs: Sequence[Job], states: Collection[State] = FINAL) -> None:
        """Take over what others did to the jobs, which are all of the batch, in its order, so far
        as they are in one of these states."""
        with self._lock:
            for index, job in enumerate(jobs):
                if job.state in states:
                    self._settle(index, job.state)

    def tell(self, text: str) -> None:
        """Something for the user to read."""
        with self._lock:
            self._news.append(text)

    def take_news(self) -> list[News | str]:
        """What happened since the last call."""
        with self._lock:
            news, self._news = self._news, []
        return news

    def view(self) -> View:
        """How things stand."""
        now = time.monotonic()
        with self._lock:
            running = list(self._running.values())
            counts = self._counts.copy()
        return View(len(self.specs), counts, running, now, now - self._began)

    def states(self) -> dict[str, State]:
        """The states of the tasks that have one, by name."""
        with self._lock:
            pairs = zip(self.specs, self._states, strict=True)
            return {spec.name: state for spec, state in pairs if state is not None}

    def _end_attempt(self, index: int, fence: int | None) -> Running | None:
        """The attempt that ended, if it ran. Told after the claims of the same commit, so that the
        task may already run again."""
        attempt = self._running.get(index)
        if attempt is None or attempt.fence != fence:
            return None
        return self._running.pop(index)

    def _settle(self, index: int, state: State) -> None:
        before = self._states[index]
        if before in FINAL and before is not None:  # somebody retried it
            self._counts[before] -= 1
        self._states[index] = state
        if state in FINAL:
            self._counts[state] += 1


def _news(index: int, end: End, ended: Running | None) -> News:
    if ended is None:
        return News(index, end, None)
    return News(index, end, max(0.0, end.at - ended.since), ended.place)
