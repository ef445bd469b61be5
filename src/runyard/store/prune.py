"""Prune: delete what ended long ago."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, select

from runyard.domain.job import FINAL
from runyard.store.database import Tx
from runyard.store.schema import (
    batches,
    dependencies,
    durations,
    events,
    idempotency_keys,
    jobs,
)

CHUNK = 500

# A member of a batch stays until its whole batch is old, and a job that others still wait for
# stays until they do not: counters and dependencies must never point at nothing.
_dependent = jobs.alias("dependent")
_OLD = (
    select(jobs.c.seq, jobs.c.id)
    .outerjoin(batches, batches.c.seq == jobs.c.batch_seq)
    .where(
        jobs.c.state.in_([state.value for state in FINAL]),
        jobs.c.finished_at < bindparam("cutoff"),
        func.coalesce(batches.c.finished_at, jobs.c.finished_at) < bindparam("cutoff"),
        (jobs.c.batch_seq.is_(None)) | (batches.c.finished_at.is_not(None)),
        ~select(dependencies.c.job_seq)
        .join(_dependent, dependencies.c.job_seq == _dependent.c.seq)
        .where(dependencies.c.on_seq == jobs.c.seq, _dependent.c.finished_at.is_(None))
        .exists(),
    )
    .order_by(jobs.c.finished_at)
    .limit(CHUNK)
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """Ids of jobs deleted; their logs are to be deleted too."""

    job_ids: list[str]

    @property
    def may_be_more(self) -> bool:
        """Whether another call may find more."""
        return len(self.job_ids) == CHUNK


def prune(tx: Tx, cutoff: float) -> Pruned:
    """Delete jobs, with all that hangs on them, that ended before ``cutoff``; some at a time."""
    rows = tx.conn.execute(tx.dialect.lock_free(_OLD), {"cutoff": cutoff}).all()
    seqs = [row.seq for row in rows]
    if seqs:
        tx.conn.execute(delete(events).where(events.c.job_seq.in_(seqs)))
        tx.conn.execute(delete(idempotency_keys).where(idempotency_keys.c.job_seq.in_(seqs)))
        tx.conn.execute(delete(jobs).where(jobs.c.seq.in_(seqs)))
    member = select(jobs.c.seq).where(jobs.c.batch_seq == batches.c.seq)
    tx.conn.execute(delete(batches).where(batches.c.finished_at < cutoff, ~member.exists()))
    tx.conn.execute(delete(durations).where(durations.c.updated_at < cutoff))
    return Pruned([row.id for row in rows])
