"""Tallies: what each transaction changed of groups, usage and totals, and folding them in.

One narrow row is inserted for each queue a transaction touched, where updating the group's own row
would make all claims of a busy lane wait for each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, func, select, update

from runyard.domain.job import FINAL, State
from runyard.policy.share import decayed
from runyard.store.database import Tx
from runyard.store.schema import (
    COUNTED,
    cursors,
    groups,
    in_state,
    jobs,
    queues,
    tallies,
    totals,
    usage,
)
from runyard.store.statement import Insertion, Statement

FOLD_AT = 50  # rows that are worth a transaction
FOLD_LIMIT = 10_000  # rows folded in one transaction


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to a queue: jobs that entered (or left) it, the seconds they are expected to
    take, attempts started, slot seconds used, jobs submitted, and the final state that a job
    reached or left."""

    queue_id: int
    queued: int = 0
    work: float = 0.0
    started: int = 0
    used: float = 0.0
    submitted: int = 0
    reached: State | None = None
    left: State | None = None


def add(tx: Tx, changes: Iterable[Change]) -> None:
    """Note changes, one row for each queue: also of what adds up to nothing, as it tells others
    that the queue is not what it was."""
    sums: dict[int, list[float]] = {}
    for change in changes:
        total = sums.setdefault(change.queue_id, [0, 0.0, 0, 0.0, 0, 0, 0, 0, 0])
        total[0] += change.queued
        total[1] += change.work
        total[2] += change.started
        total[3] += change.used
        total[4] += change.submitted
        if change.reached is not None:
            total[_PLACE[change.reached]] += 1
        if change.left is not None:
            total[_PLACE[change.left]] -= 1
    rows = [dict(zip(_COLUMNS, (queue, *total), strict=True)) for queue, total in sums.items()]
    tx.later(_INSERT, rows)


_SUMS = ("queued", "work", "started", "used", *COUNTED)
_COLUMNS = ("queue_id", *_SUMS)
_PLACE = {state: _SUMS.index(state.value) for state in FINAL}
_INSERT = Insertion(tallies, _COLUMNS)
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
        *(func.sum(tallies.c[name]).label(name) for name in COUNTED),
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
    tx.dialect.insert_missing(tx.conn, cursors, {"name": _FOLDS, "seq": 0})
    # One at a time: numbers are to be seen in their order.
    last = tx.conn.execute(tx.dialect.lock_free(_LAST), {"name": _FOLDS}).scalar()
    found = [] if last is None else tx.conn.execute(_SOME).all()
    if last is None or not found:
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
    counts: dict[tuple[str, str], Counter[str]] = {}
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
        count = counts.setdefault((queue.org_id, queue.submitted_by), Counter())
        count.update({name: getattr(row, name) for name in COUNTED})
    # In order, so that two that fold at once cannot wait for each other.
    number = {"number": last + 1, "at": tx.now}
    tx.conn.execute(_ADD, [of_groups[group] | number for group in sorted(of_groups)])
    tx.conn.execute(update(cursors).filter_by(name=_FOLDS).values(seq=last + 1))
    for key, seconds in sorted(used.items()):
        if seconds:
            _use(tx, key, seconds)
    for whose_jobs, count in sorted(counts.items()):
        if any(count.values()):
            _count(tx, *whose_jobs, count)
    return len(found)


_FOLDS = "folds"  # the cursor that counts them
_LAST = select(cursors.c.seq).where(cursors.c.name == bindparam("name"))
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
        folded=bindparam("number"),
        folded_at=bindparam("at"),
    )
)


def _use(tx: Tx, key: tuple[str, str, str], seconds: float) -> None:
    names = dict(zip(("target", "org_id", "submitted_by"), key, strict=True))
    tx.dialect.insert_missing(tx.conn, usage, {**names, "seconds": 0.0, "at": tx.now})
    query = select(usage.c.seconds, usage.c.at).filter_by(**names)
    row = tx.conn.execute(tx.dialect.lock(query)).one()
    total = decayed(row.seconds, tx.now - row.at) + seconds
    tx.conn.execute(update(usage).filter_by(**names).values(seconds=total, at=tx.now))


def _count(tx: Tx, org_id: str, submitted_by: str, count: Counter[str]) -> None:
    whose = {"org_id": org_id, "submitted_by": submitted_by}
    tx.dialect.insert_missing(tx.conn, totals, {**whose, **dict.fromkeys(COUNTED, 0)})
    more = {name: totals.c[name] + count[name] for name in COUNTED}
    tx.conn.execute(update(totals).filter_by(**whose).values(more))


@dataclass(slots=True)
class Total:
    """How many jobs of a user of an org there were, are, and how they ended."""

    org_id: str
    submitted_by: str
    submitted: int = 0
    passed: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    running: int = 0

    @property
    def waiting(self) -> int:
        """Those that have neither ended nor started."""
        ended = self.passed + self.failed + self.cancelled + self.skipped
        return self.submitted - ended - self.running


def by_user(tx: Tx, org: str | None = None) -> list[Total]:
    """The totals of each user; if ``org`` is given, in that org."""
    query = select(totals) if org is None else select(totals).filter_by(org_id=org)
    found = {
        (row.org_id, row.submitted_by): Total(**row._mapping) for row in tx.conn.execute(query)
    }
    for row in [*unfolded(tx), *tx.conn.execute(_RUNNING)]:
        if org in (None, row.org_id):
            key = (row.org_id, row.submitted_by)
            total = found.setdefault(key, Total(*key))
            for name in row._fields:
                if name in _OF_TOTAL:
                    setattr(total, name, getattr(total, name) + int(getattr(row, name)))
    return [found[key] for key in sorted(found)]


_OF_TOTAL = {*COUNTED, "running"}
_RUNNING = (
    select(groups.c.org_id, queues.c.submitted_by, func.count().label("running"))
    .join_from(jobs, queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .where(in_state(State.RUNNING))
    .group_by(groups.c.org_id, queues.c.submitted_by)
)
