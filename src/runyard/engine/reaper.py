"""Takes back the leases of workers that are gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from runyard.clock import Clock, JumpDetector
from runyard.engine import presence
from runyard.execution.leftovers import end_leftovers
from runyard.store import control, leases, registry
from runyard.store.database import Store, Tx

log = logging.getLogger("runyard")

FORGET_AFTER = 20  # leases without a sign of life after which a worker is struck from the list


class Reaper:
    """Returns jobs whose lease ran out, and at once those of workers that died on this host."""

    def __init__(
        self,
        store: Store,
        run: Path,
        lease_seconds: float,
        clock: Clock,
        wake: Callable[[], None],
        worker: str | None = None,
    ) -> None:
        self._store = store
        self._run = run
        self._own = presence.ledger_path(run, worker) if worker else None
        self._lease = lease_seconds
        self._clock = clock
        self._jumps = JumpDetector(clock)
        self._wait_until = 0.0
        self._wake = wake

    def __call__(self) -> None:
        """One round."""
        others = [path for path in self._run.glob("*.ledger") if path != self._own]
        if dead := end_leftovers(others):
            self._bury(dead)
        # After a sleep every lease looks old, and every worker that slept too renews its own.
        if self._jumps.seconds() > self._lease / 3:
            self._wait_until = self._clock.monotonic() + self._lease
        if self._clock.monotonic() < self._wait_until:
            return
        if self._store.write(self._expire, relaxed=True):
            self._wake()

    def _bury(self, dead: list[str]) -> None:
        """Their processes are gone: nothing can run twice, so no lease has to be waited for."""
        for worker in dead:
            presence.forget(self._run, worker)
        log.warning("ended what workers left behind that died: %s", ", ".join(dead))
        self._store.write(lambda tx: self._return_jobs(tx, dead), relaxed=True)
        self._wake()

    @staticmethod
    def _return_jobs(tx: Tx, dead: list[str]) -> None:
        leases.expire_workers(tx, dead)
        control.retire(tx, dead)

    def _expire(self, tx: Tx) -> int:
        moves = leases.expire(tx)
        for worker in registry.forget_silent(tx, tx.now - FORGET_AFTER * self._lease):
            if worker.pool:
                control.adopt(tx, worker.pool)
        return len(moves)
