"""Leases: renew them, and take back those that ran out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, update

from runyard.domain.job import State
from runyard.domain.lifecycle import Transition
from runyard.store import moves
from runyard.store.database import Tx
from runyard.store.finish import failed_on, record_attempts, running, settle, unexpected
from runyard.store.moves import Move
from runyard.store.schema import in_state, jobs, workers

Lease = tuple[int, int]  # sequence number of a job, and the fence under which it is held


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a renewal tells a worker: the leases it still holds, and which of their jobs somebody
    wants cancelled."""

    held: frozenset[Lease]
    cancel: frozenset[Lease]


def renew(tx: Tx, worker: str, lease_seconds: float) -> Renewed:
    """Extend all leases of a worker in one statement. A lease that ran out but was not taken back
    is renewed too: a laptop that slept must not lose its run."""
    tx.conn.execute(_SEEN, {"who": worker, "at": tx.now})
    rows = tx.conn.execute(_RENEW, {"who": worker, "until": tx.now + lease_seconds}).all()
    return Renewed(
        frozenset((row.seq, row.fence) for row in rows),
        frozenset((row.seq, row.fence) for row in rows if row.cancel_requested),
    )


_SEEN = update(workers).where(workers.c.id == bindparam("who")).values(seen_at=bindparam("at"))
_MINE = (in_state(State.RUNNING), jobs.c.worker == bindparam("who"))
_RENEW = (
    update(jobs)
    .where(*_MINE)
    .values(lease_until=bindparam("until"))
    .returning(jobs.c.seq, jobs.c.fence, jobs.c.cancel_requested)
)
_CANCELS = select(jobs.c.seq, jobs.c.fence).where(*_MINE, jobs.c.cancel_requested)


def cancels(tx: Tx, worker: str) -> set[Lease]:
    """(seq, fence) of the worker's running jobs that somebody wants cancelled."""
    return {(row.seq, row.fence) for row in tx.conn.execute(_CANCELS, {"who": worker})}


# In the order of the index of running jobs: by seq, SQLite would walk the whole table instead.
_BY_WORKER = (jobs.c.worker, jobs.c.seq)
_EXPIRED = (
    running(jobs.c.lease_until < bindparam("now"))
    .add_columns(jobs.c.rank, jobs.c.behind)
    .order_by(*_BY_WORKER)
)
_OF_WORKERS = (
    running(jobs.c.worker.in_(bindparam("workers", expanding=True)))
    .add_columns(jobs.c.rank, jobs.c.behind)
    .order_by(*_BY_WORKER)
)


def expire(tx: Tx) -> list[Move]:
    """Take back every lease that ran out: back to the queue, or failed as lost once too often."""
    over = tx.conn.execute(tx.dialect.lock_free(_EXPIRED), {"now": tx.now}).all()
    return _lose(tx, [*over, *_behind(tx, over)])


def expire_workers(tx: Tx, dead: Collection[str]) -> list[Move]:
    """Take back the leases of workers known to be dead, their processes killed."""
    return _lose(tx, _of_workers(tx, dead))


def _of_workers(tx: Tx, workers: Collection[str]) -> Sequence[Any]:
    query = tx.dialect.lock_free(_OF_WORKERS)
    return tx.conn.execute(query, {"workers": sorted(workers)}).all()


def _behind(tx: Tx, over: Sequence[Any]) -> list[Any]:
    """What waits on the same slots, claimed later and so with a lease that ends later. A worker
    that lets one lease run out has ended all it had; left alone on its slot, what only waited would
    look as if it had run."""
    if not over:
        return []
    slots, seqs = {(row.worker, row.slot) for row in over}, {row.seq for row in over}
    there = _of_workers(tx, {row.worker for row in over})
    return [row for row in there if (row.worker, row.slot) in slots and row.seq not in seqs]


def _lose(tx: Tx, rows: Sequence[Any]) -> list[Move]:
    """Of the jobs on one slot only the first, in the order in which they start, was begun; the
    others waited behind it and took nobody down."""
    begun: dict[tuple[str, str], Any] = {}
    for row in sorted(rows, key=_start_order):
        begun.setdefault((row.worker, row.slot), row)
    made = [_taken_back(tx, row, begun[row.worker, row.slot] is row) for row in rows]
    record_attempts(tx, zip(rows, made, strict=True))
    moves.apply(tx, made)
    return made + settle(tx, made)


def _start_order(row: Any) -> tuple[float, float, float, int]:
    return row.claimed_at, row.rank, -row.behind, row.seq


def _taken_back(tx: Tx, row: Any, was_begun: bool) -> Move:
    if was_begun:
        lost = Transition.lost(row.losses)
        wanted = Transition.cancel_running(None) if row.cancel_requested else lost
    else:
        back = Transition.give_back()
        wanted = Transition.cancel_claimed() if row.cancel_requested else back
    return Move.of(
        row,
        wanted,
        State.RUNNING,
        fence=row.fence,
        data={"worker": row.worker},
        used=unexpected(row, tx.now - row.claimed_at if was_begun else 0.0),
        avoids=failed_on(row) if was_begun else None,
    )
