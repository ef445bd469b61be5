"""Tallies: what each transaction changed of groups and of usage, and folding them in.

One narrow row is inserted for each queue a transaction touched, where updating the group's own row
would make all claims of a busy lane wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from runyard.policy.share import decayed
from runyard.store.database import Tx
from runyard.store.schema import groups, queues, tallies, usage
from runyard.store.statement import Statement

FOLD_AT = 50  # rows that are worth a transaction
FOLD_LIMIT = 10_000  # rows folded in one transaction


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a queue: jobs that entered (or left) it, the seconds they are expected to
    take, attempts started, slot seconds used."""

    queue_id: int
    queued: int = 0
    work: float = 0.0
    started: int = 0
    used: float = 0.0


def add(tx: Tx, changes: Iterable[Change]) -> None:
    """Note changes, one row for each queue."""
    sums: dict[int, list[float]] = {}
    for change in changes:
        total = sums.setdefault(change.queue_id, [0, 0.0, 0, 0.0])
        total[0] += change.queued
        total[1] += change.work
        total[2] += change.started
        total[3] += change.used
    rows = [
        {"queue_id": queue, "queued": q, "work": work, "started": started, "used": used}
        for queue, (q, work, started, used) in sums.items()
        if q or work or started or used
    ]
    tx.later(_INSERT, rows)


_COLUMNS = ("queue_id", "queued", "work", "started", "used")
_INSERT = Statement(insert(tallies).inline().values({name: bindparam(name) for name in _COLUMNS}))
_BY_QUEUE = Statement(
    select(
        tallies.c.queue_id,
        queues.c.group_id,
        queues.c.submitted_by,
        groups.c.org_id,
        groups.c.target,
        func.sum(tallies.c.queued).label("queued"),
        func.sum(tallies.c.work).label("work"),
        func.sum(tallies.c.started).label("started"),
        func.sum(tallies.c.used).label("used"),
    )
    .join_from(tallies, queues, queues.c.id == tallies.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .group_by(
        tallies.c.queue_id,
        queues.c.group_id,
        queues.c.submitted_by,
        groups.c.org_id,
        groups.c.target,
    )
)


def unfolded(tx: Tx) -> list[Any]:
    """The sums of what is not folded in yet: a row for each queue, with its group and owner."""
    return list(_BY_QUEUE.rows(tx))


def is_due(tx: Tx) -> bool:
    """Whether there are enough tallies to be worth folding."""
    some = select(tallies.c.id).limit(FOLD_AT).subquery()
    return int(tx.conn.execute(select(func.count()).select_from(some)).scalar_one()) >= FOLD_AT


def fold(tx: Tx) -> int:
    """Add tallies to their groups and to usage; returns how many were folded."""
    found = tx.conn.execute(tx.dialect.lock_free(_SOME)).all()
    if not found:
        return 0
    tx.conn.execute(
        tallies.delete().where(tallies.c.id.in_(bindparam("ids", expanding=True))),
        {"ids": [row.id for row in found]},
    )
    whose = {
        row.id: row
        for row in tx.conn.execute(_QUEUES, {"ids": sorted({row.queue_id for row in found})})
    }
    of_groups: dict[int, dict[str, Any]] = {}
    used: dict[tuple[str, str, str], float] = {}
    for row in found:
        queue = whose[row.queue_id]
        total = of_groups.setdefault(
            queue.group_id, {"group": queue.group_id, "d_queued": 0, "d_work": 0.0, "d_started": 0}
        )
        total["d_queued"] += row.queued
        total["d_work"] += row.work
        total["d_started"] += row.started
        key = (queue.target, queue.org_id, queue.submitted_by)
        used[key] = used.get(key, 0.0) + row.used
    # In order, so that two that fold at once cannot wait for each other.
    tx.conn.execute(_ADD, [of_groups[group] for group in sorted(of_groups)])
    for key, seconds in sorted(used.items()):
        if seconds:
            _use(tx, key, seconds)
    return len(found)


_SOME = select(tallies).order_by(tallies.c.id).limit(FOLD_LIMIT)
_QUEUES = (
    select(queues.c.id, queues.c.group_id, queues.c.submitted_by, groups.c.org_id, groups.c.target)
    .join(groups, groups.c.id == queues.c.group_id)
    .where(queues.c.id.in_(bindparam("ids", expanding=True)))
)
_ADD = (
    update(groups)
    .where(groups.c.id == bindparam("group"))
    .values(
        queued=groups.c.queued + bindparam("d_queued"),
        work=groups.c.work + bindparam("d_work"),
        started=groups.c.started + bindparam("d_started"),
    )
)


def _use(tx: Tx, key: tuple[str, str, str], seconds: float) -> None:
    names = dict(zip(("target", "org_id", "submitted_by"), key, strict=True))
    tx.dialect.insert_missing(tx.conn, usage, {**names, "seconds": 0.0, "at": tx.now})
    query = select(usage.c.seconds, usage.c.at).filter_by(**names)
    row = tx.conn.execute(tx.dialect.lock(query)).one()
    total = decayed(row.seconds, tx.now - row.at) + seconds
    tx.conn.execute(update(usage).filter_by(**names).values(seconds=total, at=tx.now))
