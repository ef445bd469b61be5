"""Promote: queue the delayed jobs whose time has come."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from runyard.domain.job import State
from runyard.domain.lifecycle import Transition
from runyard.store import moves, timetable
from runyard.store.database import Tx
from runyard.store.moves import Move
from runyard.store.openqueues import open_queues
from runyard.store.schema import in_state, jobs

_DELAYED = in_state(State.DELAYED)
_DUE = (
    select(jobs.c.seq, jobs.c.batch_seq, jobs.c.queue_id, jobs.c.expected)
    .where(_DELAYED, jobs.c.run_after <= bindparam("now"))
    .order_by(jobs.c.run_after)
    .limit(1000)
)
_NEXT = select(func.min(jobs.c.run_after)).where(_DELAYED)


def promote(tx: Tx) -> int:
    """Queue what is due, at most a thousand at a time; returns how many."""
    rows = tx.conn.execute(tx.dialect.lock_free(_DUE), {"now": tx.now}).all()
    promoted = Transition.promote()
    moves.apply(tx, [Move.of(row, promoted, State.DELAYED) for row in rows])
    return len(rows)


def next_due(tx: Tx) -> float | None:
    """Seconds until the next delayed job is due, 0 if one is already; None if there is none."""
    due = tx.conn.execute(_NEXT).scalar()
    return None if due is None else max(0.0, due - tx.now)


def is_expecting(
    tx: Tx,
    pools: frozenset[str],
    targets: frozenset[str] | None = None,
    *,
    with_schedules: bool = False,
) -> bool:
    """Whether there is, or will be without anybody's doing, a job to run for a worker of these
    pools and targets. In this order: a job may be promoted between the looks, and a schedule may
    submit one."""
    if with_schedules and timetable.next_due(tx) is not None:
        return True
    return next_due(tx) is not None or any(
        targets is None or queue.target in targets for queue in open_queues(tx, pools)
    )
