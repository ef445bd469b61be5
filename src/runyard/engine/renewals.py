"""What the keeper hears of a worker's leases: told in its thread, looked at in the worker's."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from runyard.engine.attempts import Attempts
from runyard.store.leases import Lease, Renewed


class Renewals:
    """Compares what the store says the worker holds with what the worker has under way."""

    def __init__(self, running: Attempts) -> None:
        self._running = running
        self._told: deque[tuple[Renewed, float]] = deque()
        self._unknown: frozenset[Lease] = frozenset()

    def tell(self, renewed: Renewed, asked_at: float) -> None:
        """The store's answer, and the monotonic time of the question. May be called in any
        thread."""
        self._told.append((renewed, asked_at))

    def look(self, unsaved: Collection[Lease]) -> tuple[list[str], list[Lease]]:
        """The keys of attempts that are no longer ours, and leases that are and shall be given
        back: of those we never heard. Of the ``unsaved`` we know, though they have ended."""
        lost: list[str] = []
        unheard_of: list[Lease] = []
        while self._told:
            renewed, asked_at = self._told.popleft()
            lost += self._running.not_among(renewed.held, asked_at)
            unheard_of += self._unheard_of(renewed.held, unsaved)
        return lost, unheard_of

    def _unheard_of(self, held: frozenset[Lease], unsaved: Collection[Lease]) -> frozenset[Lease]:
        """The connection broke after a claim was saved and before we were told: renewed for ever,
        such a job would never run.

        Asked twice, since what ended while the question was on its way is in the first answer.
        """
        unknown = held - self._running.leases - frozenset(unsaved)
        twice = unknown & self._unknown
        self._unknown = unknown - twice
        return twice
