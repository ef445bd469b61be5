"""Deletes what ended longer ago than the retention, rows first, then logs."""

from __future__ import annotations

from pathlib import Path

from runyard.execution import logs
from runyard.store import users
from runyard.store.database import Store, Tx
from runyard.store.prune import Pruned, prune

INTERVAL = 600.0


class Pruner:
    """A crash between rows and logs leaves files that no job names: never the other way round."""

    def __init__(self, store: Store, log_root: Path, retention_seconds: float) -> None:
        self._store = store
        self._logs = log_root
        self._retention = retention_seconds

    def __call__(self) -> float | None:
        """Prune some; returns 0 when there may be more."""

        def work(tx: Tx) -> Pruned:
            users.forget_expired(tx)
            return prune(tx, tx.now - self._retention)

        pruned = self._store.write(work, relaxed=True)
        for job_id in pruned.job_ids:
            logs.delete(self._logs, job_id)
        return 0.0 if pruned.may_be_more else None
