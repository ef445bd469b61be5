"""What is known of a batch while it runs: written by the worker's thread, read by the display's."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from runyard.domain.event import EventKind
from runyard.domain.job import FINAL, Job, JobSpec, State
from runyard.store.claim import Claim
from runyard.store.moves import Move


@dataclass(frozen=True, slots=True)
class News:
    """A task ended, or failed and will be tried again; ``seconds`` it ran, if it did, and
    ``place`` is the device that it had, if any."""

    index: int
    move: Move
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

    @classmethod
    def of(cls, index: int, claim: Claim, now: float) -> Running:
        """What was claimed just now; a place has a name worth showing if builds are put on it."""
        place = claim.slot if claim.build else ""
        return cls(index, claim.fence, now, place, claim.build if claim.installs else "")


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
        self._index: dict[int, int] = {}
        self._states: list[State | None] = [None] * len(specs)
        self._counts: Counter[State] = Counter()
        self._running: dict[int, Running] = {}  # by index
        self._news: list[News | str] = []
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def place(self, seqs: Sequence[int]) -> None:
        """The tasks' sequence numbers in the store, in the file's order."""
        self._index = {seq: index for index, seq in enumerate(seqs)}
        self._began = time.monotonic()

    def claimed(self, claims: Sequence[Claim]) -> None:
        """These attempts start now."""
        now = time.monotonic()
        with self._lock:
            for owned in claims:
                index = self._index[owned.seq]
                self._running[index] = Running.of(index, owned, now)
                self._settle(index, State.RUNNING)

    def finished(self, moves: Sequence[Move]) -> None:
        """These moves were made, some perhaps of jobs elsewhere that waited for ours."""
        now = time.monotonic()
        with self._lock:
            for move in moves:
                index = self._index.get(move.seq)
                if index is None:
                    continue
                ended = self._end_attempt(index, move.fence)
                if move.transition.to in FINAL or move.transition.event is EventKind.RETRIED:
                    self._settle(index, move.transition.to)
                    self._news.append(_news(index, move, ended, now))

    def compare(self, jobs: Sequence[Job]) -> None:
        """Take over what others did to the jobs, which are all of the batch, in its order."""
        with self._lock:
            for index, job in enumerate(jobs):
                if job.is_final:
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


def _news(index: int, move: Move, ended: Running | None, now: float) -> News:
    if ended is None:
        return News(index, move, None)
    return News(index, move, now - ended.since, ended.place)
