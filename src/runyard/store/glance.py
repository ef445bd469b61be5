"""What goes on right now, in figures and short lists; none of it costs more with a longer backlog
or history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import func, select

from runyard.domain.job import Job, State
from runyard.store import tallies
from runyard.store.database import Tx
from runyard.store.openqueues import OpenQueue, open_queues
from runyard.store.schema import groups, in_state, jobs, queues
from runyard.store.views import JOBS, build

COUNT_LIMIT = 1_000  # of those that are counted one by one
ENDED = 1_000  # the last so many that ended tell how things went lately


@dataclass(frozen=True, slots=True)
class Figures:
    """How many jobs there are of some kinds. ``delayed`` is counted up to ``COUNT_LIMIT``;
    ``ended`` tells of the last ``ENDED``, by state."""

    running: int
    queued: int
    delayed: int
    ended: dict[State, int] = field(default_factory=dict)


def figures(tx: Tx, org: str | None = None) -> Figures:
    """The figures of now; if ``org`` is given, of that org's jobs."""
    return Figures(
        _count(tx, in_state(State.RUNNING), org, None),
        _queued(tx, org),
        _count(tx, in_state(State.DELAYED), org, COUNT_LIMIT),
        _ended(tx, org),
    )


def _count(tx: Tx, condition: object, org: str | None, limit: int | None) -> int:
    found = select(jobs.c.seq).where(condition).limit(limit)  # type: ignore[arg-type]
    if org is not None:
        found = (
            found.join(queues, queues.c.id == jobs.c.queue_id)
            .join(groups, groups.c.id == queues.c.group_id)
            .where(groups.c.org_id == org)
        )
    return int(tx.conn.execute(select(func.count()).select_from(found.subquery())).scalar_one())


def _queued(tx: Tx, org: str | None) -> int:
    """By what groups keep, and what is not folded into them yet."""
    query = select(func.sum(groups.c.queued))
    if org is not None:
        query = query.where(groups.c.org_id == org)
    kept = tx.conn.execute(query).scalar() or 0
    fresh = sum(int(row.queued) for row in tallies.unfolded(tx) if org in (None, row.org_id))
    return max(0, int(kept) + fresh)


def _ended(tx: Tx, org: str | None) -> dict[State, int]:
    last = (
        select(jobs.c.state, jobs.c.queue_id)
        .where(jobs.c.finished_at.is_not(None))
        .order_by(jobs.c.finished_at.desc())
        .limit(ENDED)
        .subquery()
    )
    query = select(last.c.state, func.count().label("amount")).group_by(last.c.state)
    if org is not None:
        query = (
            query.join(queues, queues.c.id == last.c.queue_id)
            .join(groups, groups.c.id == queues.c.group_id)
            .where(groups.c.org_id == org)
        )
    return {State(row.state): int(row.amount) for row in tx.conn.execute(query)}


def running(tx: Tx, limit: int, org: str | None = None) -> list[Job]:
    """What runs, the longest first."""
    query = JOBS.where(in_state(State.RUNNING))
    if org is not None:
        query = query.where(groups.c.org_id == org)
    query = query.order_by(jobs.c.claimed_at, jobs.c.seq).limit(limit)
    return build(tx, tx.conn.execute(query).all())


def waiting(tx: Tx, limit: int, org: str | None = None) -> Sequence[OpenQueue]:
    """The groups with jobs that may start, each by its first queue; in the order of their turns,
    and with what is not folded into them yet."""
    fresh: Counter[int] = Counter()
    for row in tallies.unfolded(tx):
        fresh[row.group_id] += int(row.queued)
    found: dict[int, OpenQueue] = {}
    for queue in sorted(open_queues(tx, frozenset({""})), key=lambda queue: queue.rank):
        if org in (None, queue.org_id):
            found.setdefault(queue.group_id, queue)
    return [
        replace(queue, queued=max(0, queue.queued + fresh[queue.group_id]))
        for queue in list(found.values())[:limit]
    ]
