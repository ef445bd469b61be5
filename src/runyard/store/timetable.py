"""Keep schedules, and find those that are due.

Of several workers that find the same one due, one locks it; the others pass it over, or find that
it has moved on when the lock is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select, update

from runyard.domain.listing import NameFilter
from runyard.store import named
from runyard.store.database import Tx
from runyard.store.named import Place
from runyard.store.template_tables import schedules


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule as the database holds it; ``parameters`` is JSON."""

    id: int
    org_id: str
    name: str
    template: str
    cron: str
    timezone: str
    parameters: str
    missed: str
    overlap: str
    created_by: str
    user_id: int | None
    created_at: float
    paused_at: float | None
    next_at: float | None
    last_due: float | None
    last_batch: str | None
    last_error: str | None


def add(tx: Tx, values: dict[str, Any]) -> bool:
    """Save a new one; False if its org has one of that name."""
    return tx.dialect.insert_missing(tx.conn, schedules, {**values, "created_at": tx.now})


def get(tx: Tx, org_id: str, name: str, *, lock: bool = False) -> ScheduleRow | None:
    """The one of that name; with ``lock`` it is held until the transaction ends."""
    query = select(schedules).where(schedules.c.org_id == org_id, schedules.c.name == name)
    row = tx.conn.execute(tx.dialect.lock(query) if lock else query).one_or_none()
    return None if row is None else ScheduleRow(**row._mapping)


def some(
    tx: Tx, org_id: str | None, limit: int, after: Place, wanted: NameFilter | None = None
) -> list[ScheduleRow]:
    """Those of an org, or of all, in the order of org and name, behind the one named."""
    query = named.page(schedules, org_id, limit, after, wanted)
    return [ScheduleRow(**row._mapping) for row in tx.conn.execute(query)]


def of_template(tx: Tx, org_id: str, template: str) -> list[str]:
    """The names of those that run a template."""
    query = select(schedules.c.name).where(
        schedules.c.org_id == org_id, schedules.c.template == template
    )
    return list(tx.conn.execute(query.order_by(schedules.c.name)).scalars())


def change(tx: Tx, schedule_id: int, **values: Any) -> None:
    """Give columns other values."""
    tx.conn.execute(update(schedules).where(schedules.c.id == schedule_id).values(**values))


def remove(tx: Tx, schedule_id: int) -> None:
    """Forget one."""
    tx.conn.execute(delete(schedules).where(schedules.c.id == schedule_id))


def next_due(tx: Tx) -> float | None:
    """Seconds until the next one is due, 0 if one is already; None if all are paused."""
    due = tx.conn.execute(_NEXT).scalar()
    return None if due is None else max(0.0, due - tx.now)


_NEXT = select(func.min(schedules.c.next_at))


def due(tx: Tx, limit: int = 100) -> list[int]:
    """The ids of those that are due, the longest waiting first."""
    query = select(schedules.c.id).where(schedules.c.next_at <= tx.now)
    return list(tx.conn.execute(query.order_by(schedules.c.next_at).limit(limit)).scalars())


def take_due(tx: Tx, schedule_id: int) -> ScheduleRow | None:
    """One that is due, held until the transaction ends; None if it is not any more, or somebody
    else has it."""
    query = select(schedules).where(schedules.c.id == schedule_id, schedules.c.next_at <= tx.now)
    row = tx.conn.execute(tx.dialect.lock_free(query)).one_or_none()
    return None if row is None else ScheduleRow(**row._mapping)
