"""Limits of what runs and quotas of what waits, together, as people see them."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import and_, select, tuple_, union

from runyard.domain.listing import LimitFilter
from runyard.domain.yard import LimitView
from runyard.policy.fits import Scope, Subject
from runyard.store import rules
from runyard.store.database import Tx
from runyard.store.quotas import EVERYBODY, waiting
from runyard.store.schema import limits
from runyard.store.user_tables import quotas


def page(
    tx: Tx,
    wanted: LimitFilter,
    limit: int | None = None,
    after: tuple[str, str] | None = None,
) -> list[LimitView]:
    """Those that fit, by scope and name, behind the one of these, with what counts against them
    now."""
    query = _LIMITED.limit(limit)
    if wanted.scope is not None:
        query = query.where(_BOTH.c.kind == wanted.scope)
    if wanted.name is not None:
        query = query.where(_BOTH.c.name == wanted.name)
    if after is not None:
        query = query.where(tuple_(_BOTH.c.kind, _BOTH.c.name) > tuple_(*after))
    rows = tx.conn.execute(query).all()
    are_ruled = any(row.maximum is not None for row in rows)
    running: Counter[Subject] = rules.running(tx) if are_ruled else Counter()
    return [
        LimitView(
            scope=row.kind,
            name=row.name,
            running=row.maximum,
            waiting=row.waiting,
            running_now=0 if row.maximum is None else running[Scope(row.kind), row.name],
            waiting_now=0
            if row.waiting is None or row.name == EVERYBODY
            else waiting(tx, row.kind, row.name, row.waiting + 1),
        )
        for row in rows
    ]


_BOTH = union(select(limits.c.kind, limits.c.name), select(quotas.c.kind, quotas.c.name)).subquery()
_LIMITED = (
    select(_BOTH.c.kind, _BOTH.c.name, limits.c.maximum, quotas.c.waiting)
    .outerjoin(limits, and_(limits.c.kind == _BOTH.c.kind, limits.c.name == _BOTH.c.name))
    .outerjoin(quotas, and_(quotas.c.kind == _BOTH.c.kind, quotas.c.name == _BOTH.c.name))
    .order_by(_BOTH.c.kind, _BOTH.c.name)
)
