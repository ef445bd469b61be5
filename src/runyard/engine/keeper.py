"""Keeps a worker's leases: renews them all in one statement, from a thread of its own."""

from __future__ import annotations

from collections.abc import Callable

from runyard.clock import Clock, JumpDetector
from runyard.store import leases
from runyard.store.database import Store
from runyard.store.leases import Renewed

# The launcher kills what it holds this much of a lease before the lease ends, so that nothing of
# it is left when somebody else may start the same job.
MARGIN = 0.15


class Keeper:
    """Renews at a third of the lease: one lost renewal must not end a run.

    ``extend`` is told for how many seconds attempts may go on from now; ``tell`` gets what the
    store answered, from the keeper's thread.
    """

    def __init__(
        self,
        store: Store,
        worker: str,
        lease_seconds: float,
        clock: Clock,
        extend: Callable[[float], None],
        tell: Callable[[Renewed, float], None],
    ) -> None:
        self._store = store
        self._worker = worker
        self._lease = lease_seconds
        self._clock = clock
        self._extend = extend
        self._tell = tell
        self._jumps = JumpDetector(clock)
        self._next = 0.0

    @property
    def interval(self) -> float:
        """Seconds between looks; short, to notice soon that the host has slept."""
        return min(1.0, self._lease / 10)

    def __call__(self) -> None:
        """Renew when it is time, and at once after a sleep: the reaper waits for that."""
        asked_at = self._clock.monotonic()
        if self._jumps.seconds() < self._lease / 3 and asked_at < self._next:
            return
        renewed = self._store.write(
            lambda tx: leases.renew(tx, self._worker, self._lease), relaxed=True
        )
        # Counted from before the question: the store's clock has read no earlier than that.
        self._extend(asked_at + self._lease * (1 - MARGIN) - self._clock.monotonic())
        self._next = asked_at + self._lease / 3
        self._tell(renewed, asked_at)
