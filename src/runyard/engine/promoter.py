"""Queues delayed jobs when their time has come."""

from __future__ import annotations

from collections.abc import Callable

from runyard.store import schedule, tallies
from runyard.store.database import Store


class Promoter:
    """Sleeps until the next delayed job is due, but looks again soon: others add some."""

    INTERVAL = 0.5

    def __init__(self, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake

    def _fold(self) -> None:
        """Fold tallies while there are many; a write is not worth a few."""
        with self._store.read() as tx:
            is_due = tallies.is_due(tx)
        while is_due:
            is_due = self._store.write(tallies.fold, relaxed=True) == tallies.FOLD_LIMIT

    def __call__(self) -> float | None:
        """Promote what is due; returns seconds until the next look."""
        self._fold()
        with self._store.read() as tx:
            due = schedule.next_due(tx)
        if due is None or due > 0:
            return None if due is None else min(due, self.INTERVAL)
        if self._store.write(schedule.promote, relaxed=True):
            self._wake()
        return 0.0
