"""Prune and purge: delete what ended long ago, what nothing is left of, or what somebody wants
gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, String, Table, bindparam, cast, delete, func, select

from runyard.domain.job import FINAL
from runyard.errors import Conflict
from runyard.policy.fits import Scope
from runyard.store.database import Tx
from runyard.store.resolve import chunks
from runyard.store.rules import ORG_KEY
from runyard.store.schema import (
    batches,
    dependencies,
    durations,
    events,
    groups,
    idempotency_keys,
    jobs,
    limits,
    pauses,
    queues,
    slots,
    tallies,
)
from runyard.store.views import members_of

CHUNK = 500

# A member of a batch stays until its whole batch is old, and a job that others still wait for
# stays until they do not: counters and dependencies must never point at nothing.
_dependent = jobs.alias("dependent")
_WAITED_FOR = (
    select(dependencies.c.job_seq)
    .join(_dependent, dependencies.c.job_seq == _dependent.c.seq)
    .where(dependencies.c.on_seq == jobs.c.seq, _dependent.c.finished_at.is_(None))
    .exists()
)
_OLD = (
    select(jobs.c.seq, jobs.c.id)
    .outerjoin(batches, batches.c.seq == jobs.c.batch_seq)
    .where(
        jobs.c.state.in_([state.value for state in FINAL]),
        jobs.c.finished_at < bindparam("cutoff"),
        func.coalesce(batches.c.finished_at, jobs.c.finished_at) < bindparam("cutoff"),
        (jobs.c.batch_seq.is_(None)) | (batches.c.finished_at.is_not(None)),
        ~_WAITED_FOR,
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
        _delete(tx, seqs)
    member = select(jobs.c.seq).where(jobs.c.batch_seq == batches.c.seq)
    tx.conn.execute(delete(batches).where(batches.c.finished_at < cutoff, ~member.exists()))
    tx.conn.execute(delete(durations).where(durations.c.updated_at < cutoff))
    return Pruned([row.id for row in rows])


# A submission may be about to use a queue or a group just now. It locks what it has found, so that
# neither is deleted under it: who comes second waits, and finds it gone or in use.
_DEAD_QUEUE = (
    ~select(jobs.c.seq).where(jobs.c.queue_id == queues.c.id).exists(),
    ~select(tallies.c.id).where(tallies.c.queue_id == queues.c.id).exists(),
)
_DEAD_GROUP = (
    groups.c.folded_at < bindparam("cutoff"),
    ~select(queues.c.id).where(queues.c.group_id == groups.c.id).exists(),
    ~select(slots.c.name).where(slots.c.group_id == groups.c.id).exists(),
    ~select(pauses.c.name)
    .where(pauses.c.kind == Scope.GROUP.value, pauses.c.name == cast(groups.c.id, String))
    .exists(),
)
_DEAD_LIMIT = (
    limits.c.kind == Scope.ORG_KEY.value,
    limits.c.by_hand.is_(False),
    limits.c.name.not_in(
        select(ORG_KEY).join_from(queues, groups, groups.c.id == queues.c.group_id)
    ),
)
_DEAD = {queues: _DEAD_QUEUE, groups: _DEAD_GROUP, limits: _DEAD_LIMIT}
_NAMES = {queues: queues.c.id, groups: groups.c.id, limits: limits.c.name}
MORTAL = (queues, groups, limits)  # in the order in which they die


def dead(tx: Tx, table: Table, cutoff: float) -> Sequence[Any]:
    """The ids of some queues of which no job is left; or of some groups of which no queue is, that
    no slot holds, that are not paused, and of which nothing moved since ``cutoff``; or some keys of
    which no queue is left, and whose limit a job had asked for. To be found without keeping anybody
    waiting, since all have to be looked at."""
    name = _NAMES[table]
    query = select(name).where(*_DEAD[table]).order_by(name).limit(CHUNK)
    return tx.conn.execute(query, {"cutoff": cutoff}).scalars().all()


def bury(tx: Tx, table: Table, ids: Sequence[Any], cutoff: float) -> int:
    """Delete those of these that are still dead; returns how many they were."""
    name = _NAMES[table]
    locked = select(name).where(name.in_(ids)).order_by(name)
    mine = tx.conn.execute(tx.dialect.lock_free(locked)).scalars().all()
    if not mine:
        return 0
    # Looked at anew, as they are now that nobody else can use them.
    query = delete(table).where(name.in_(mine), *_DEAD[table])
    return tx.conn.execute(query, {"cutoff": cutoff}).rowcount


def purge(tx: Tx, seqs: Sequence[int]) -> list[str]:
    """Delete jobs that have ended, now; returns their ids, whose logs are to be deleted too.

    Raises ``Conflict`` for one that has not ended, that is a member of a batch, whose counters
    would lie without it, or that others still wait for.
    """
    found: list[str] = []
    for part in chunks(seqs):
        for row in tx.conn.execute(tx.dialect.lock(_PURGED), {"seqs": part}):
            if row.batch_seq is not None:
                raise Conflict(f"job {row.id} is part of a batch: purge the batch")
            found.append(_may_go(row))
        _delete(tx, part)
    return found


def purge_batch(tx: Tx, seq: int) -> list[str]:
    """Delete a batch that has ended with all its members; returns their ids."""
    found: list[str] = []
    for part in chunks(members_of(tx, seq)):
        found += map(_may_go, tx.conn.execute(tx.dialect.lock(_PURGED), {"seqs": part}))
        _delete(tx, part)
    tx.conn.execute(delete(idempotency_keys).where(idempotency_keys.c.batch_seq == seq))
    tx.conn.execute(delete(batches).where(batches.c.seq == seq))
    return found


_PURGED = (
    select(
        jobs.c.id,
        jobs.c.state,
        jobs.c.batch_seq,
        jobs.c.finished_at,
        _WAITED_FOR.label("is_waited_for"),
    )
    .where(jobs.c.seq.in_(bindparam("seqs", expanding=True)))
    .order_by(jobs.c.seq)
)


def _may_go(row: Row[Any]) -> str:
    if row.finished_at is None:
        raise Conflict(f"job {row.id} is {row.state}: cancel it first")
    if row.is_waited_for:
        raise Conflict(f"other jobs still wait for job {row.id}")
    return str(row.id)


def _delete(tx: Tx, seqs: Sequence[int]) -> None:
    tx.conn.execute(delete(events).where(events.c.job_seq.in_(seqs)))
    tx.conn.execute(delete(idempotency_keys).where(idempotency_keys.c.job_seq.in_(seqs)))
    tx.conn.execute(delete(jobs).where(jobs.c.seq.in_(seqs)))
