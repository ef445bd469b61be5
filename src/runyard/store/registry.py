"""The workers that are, or were, there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select

from runyard.domain.job import State
from runyard.domain.listing import WorkerFilter
from runyard.domain.slot import SlotState
from runyard.store.database import Tx
from runyard.store.schema import in_state, jobs, slots, workers

LIVE_LEASES = 2.0  # a worker not seen for so many leases counts as gone


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker as it signed on. ``targets`` None means all; ``pool`` "" means everybody's jobs."""

    id: str
    host: str
    pid: int
    slots: int
    pool: str = ""
    targets: tuple[str, ...] | None = None
    places: tuple[tuple[str, str | None], ...] = ()  # its slots: name and target, None for any
    started_at: float = 0.0
    seen_at: float = 0.0


def sign_on(tx: Tx, info: WorkerInfo) -> None:
    """Register a worker that begins; again, should nobody know whether the first time took."""
    values = {
        "id": info.id,
        "host": info.host,
        "pid": info.pid,
        "pool": info.pool,
        "slots": info.slots,
        "targets": None if info.targets is None else json.dumps(info.targets),
        "started_at": tx.now,
        "seen_at": tx.now,
    }
    if not tx.dialect.insert_missing(tx.conn, workers, values):
        return
    places = [
        {
            "worker": info.id,
            "name": name,
            "target": target,
            "state": SlotState.READY.value,
            "since": tx.now,
            "failures": "[]",
        }
        for name, target in info.places
    ]
    if places:
        tx.conn.execute(insert(slots), places)


def sign_off(tx: Tx, ids: Sequence[str]) -> None:
    """Forget workers that ended."""
    tx.conn.execute(delete(workers).where(workers.c.id.in_(ids)))


def forget_silent(tx: Tx, silent_since: float) -> list[WorkerInfo]:
    """Forget workers that have not been seen since an instant and hold no lease; returns them."""
    holders = select(jobs.c.worker).where(in_state(State.RUNNING))
    query = select(workers).where(workers.c.seen_at < silent_since, workers.c.id.not_in(holders))
    gone = [_info(row) for row in tx.conn.execute(query)]
    sign_off(tx, [info.id for info in gone])
    return gone


def live(tx: Tx, seen_since: float) -> list[WorkerInfo]:
    """The workers seen since an instant."""
    query = select(workers).where(workers.c.seen_at >= seen_since).order_by(workers.c.started_at)
    return [_info(row) for row in tx.conn.execute(query)]


def page(
    tx: Tx, seen_since: float, wanted: WorkerFilter, limit: int, after: str = ""
) -> list[WorkerInfo]:
    """The same by id, those behind ``after`` that fit."""
    query = select(workers).where(workers.c.seen_at >= seen_since, workers.c.id > after)
    if wanted.host is not None:
        query = query.where(workers.c.host == wanted.host)
    if wanted.target is not None:
        # As it stands in the list; LIKE would make no difference between a and A on SQLite.
        rest = func.replace(workers.c.targets, json.dumps(wanted.target), "")
        query = query.where(workers.c.targets.is_(None) | (rest != workers.c.targets))
    return [_info(row) for row in tx.conn.execute(query.order_by(workers.c.id).limit(limit))]


def _info(row: object) -> WorkerInfo:
    fields = dict(row._mapping)  # type: ignore[attr-defined]
    targets = fields.pop("targets")
    return WorkerInfo(**fields, targets=None if targets is None else tuple(json.loads(targets)))
