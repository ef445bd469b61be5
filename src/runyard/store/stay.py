"""Stay: what slots with a build mostly do, decided without reading the whole yard.

The rule is policy's own: a slot goes on with its group for a turn, while that is among the best.
Whether it is takes a few looks at indexes, however many groups there are. Anything that could make
the choice another one, be it a limit, a slot out of order or a second submitter, leaves it to
policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, exists, func, or_, select

from runyard.domain.job import State
from runyard.policy.choose import TURN
from runyard.store.database import Tx
from runyard.store.openqueues import ARE_RULES, COLUMNS, OpenQueue
from runyard.store.schema import groups, in_state, jobs, queues, slots
from runyard.store.statement import Statement
from runyard.store.yard import FreeSlot, Pick


def picks(tx: Tx, worker: str, free: Sequence[FreeSlot]) -> list[Pick] | None:
    """What the slots take if each of them stays with its group; None if policy has to decide."""
    held = [slot.group_id for slot in free if slot.group_id is not None]
    if len(held) < len(free) or len(set(held)) < len(held):
        return None
    if _DOUBTS.rows(tx)[0].are_any:
        return None
    found = []
    for slot in free:
        queue = _only_queue(tx, worker, slot)
        if queue is None or queue.build == "":
            return None
        found.append(Pick(slot, queue, queue.seq))
    return found


def _only_queue(tx: Tx, worker: str, slot: FreeSlot) -> OpenQueue | None:
    """The one open queue of a slot's group, if no job anywhere is of a higher class and it is the
    group's turn."""
    rows = _QUEUES.rows(tx, group=slot.group_id, worker=worker, slot=slot.name)
    open_ones = [row for row in rows if row.seq is not None]
    if len(open_ones) != 1 or not slot.serves(open_ones[0].target):
        return None
    row: Any = open_ones[0]
    if row.rank > row.best or row.ready_at is None or tx.now - row.ready_at >= TURN:
        return None
    return OpenQueue(*row[:-2])


# What makes policy look at more than classes.
_DOUBTS = Statement(
    select(
        or_(
            ARE_RULES,
            exists().where(in_state(State.QUEUED), jobs.c.avoids.is_not(None)),
        ).label("are_any")
    )
)


_READY_AT = (
    select(slots.c.ready_at)
    .where(slots.c.worker == bindparam("worker"), slots.c.name == bindparam("slot"))
    .scalar_subquery()
)
_QUEUES = Statement(
    select(
        *COLUMNS,
        select(func.min(jobs.c.rank)).where(in_state(State.QUEUED)).scalar_subquery().label("best"),
        _READY_AT.label("ready_at"),
    )
    .join_from(queues, groups, groups.c.id == queues.c.group_id)
    .where(queues.c.group_id == bindparam("group"))
)
