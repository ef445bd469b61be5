"""Deletes what ended longer ago than the retention, rows first, then logs; the queues and groups of
which nothing is left, as each run and each build leaves some behind, and the limits that jobs asked
for; and what is told of failed
sign-ins, which anybody can add to."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from runyard.execution import logs
from runyard.store import audit, users
from runyard.store.database import Store, Tx
from runyard.store.prune import CHUNK, MORTAL, Pruned, bury, dead, prune

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
            audit.forget_failed(tx, tx.now - self._retention)
            return prune(tx, tx.now - self._retention)

        pruned = self._store.write(work, relaxed=True)
        for job_id in pruned.job_ids:
            logs.delete(self._logs, job_id)
        return 0.0 if self._bury_some() or pruned.may_be_more else None

    def _bury_some(self) -> bool:
        """Delete dead queues, groups and limits; True when there may be more."""
        may_be_more = False
        for table in MORTAL:
            with self._store.read() as tx:
                cutoff = tx.now - self._retention
                ids = dead(tx, table, cutoff)
            if ids:
                buried = self._store.write(partial(bury, table=table, ids=ids, cutoff=cutoff))
                may_be_more = may_be_more or buried == CHUNK
        return may_be_more
