"""Slots as people and their worker change them: builds, health, draining."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, tuple_, update

from runyard.domain.listing import DeviceFilter
from runyard.domain.slot import SlotState
from runyard.errors import NotFound
from runyard.store.database import Tx
from runyard.store.schema import groups, slots, workers
from runyard.store.statement import Statement, kept


@dataclass(frozen=True, slots=True)
class SlotChange:
    """What a worker has to say of one of its slots. ``installed`` counts an install of the group
    that it holds; ``quarantined`` None leaves its state as it is."""

    name: str
    group_id: int | None
    failures: tuple[int, ...] = ()
    quarantined: bool | None = None
    reason: str | None = None
    installed: bool = False


def save(tx: Tx, worker: str, changes: Iterable[SlotChange]) -> None:
    """Write what a worker has to say of its slots."""
    for change in changes:
        of_slot = update(slots).where(slots.c.worker == worker, slots.c.name == change.name)
        # A worker that was taken for dead may remember a group that was pruned since.
        found = change.group_id and _GROUP.rows(tx, group=change.group_id)
        group = change.group_id if found else None
        values = {"group_id": group, "failures": json.dumps(change.failures)}
        tx.conn.execute(of_slot.values(values))
        if change.quarantined is not None:
            # One that somebody drains stays so, whatever its health.
            old = SlotState.READY if change.quarantined else SlotState.QUARANTINED
            new = SlotState.QUARANTINED if change.quarantined else SlotState.READY
            tx.conn.execute(
                of_slot.where(slots.c.state == old.value).values(
                    state=new.value, since=tx.now, reason=change.reason
                )
            )
        if change.installed and group is not None:
            tx.conn.execute(_INSTALLED, {"group": group})


_GROUP = Statement(kept(select(groups.c.id).where(groups.c.id == bindparam("group")), groups))
_INSTALLED = (
    update(groups).where(groups.c.id == bindparam("group")).values(installs=groups.c.installs + 1)
)
_SLOTS = (
    select(
        slots,
        workers.c.host,
        groups.c.org_id,
        groups.c.app_version_id,
    )
    .join(workers, workers.c.id == slots.c.worker)
    .outerjoin(groups, groups.c.id == slots.c.group_id)
    .order_by(slots.c.target, slots.c.name, slots.c.worker)
)


def all_slots(tx: Tx) -> Sequence[Any]:
    """Every slot of every worker, with its host and what is installed on it."""
    return tx.conn.execute(_SLOTS).all()


def some_slots(
    tx: Tx, wanted: DeviceFilter, limit: int, after: tuple[str, str] | None = None
) -> Sequence[Any]:
    """Those that fit, by worker and name, behind the one of these."""
    query = _SLOTS.order_by(None).order_by(slots.c.worker, slots.c.name).limit(limit)
    if wanted.target is not None:
        query = query.where(slots.c.target == wanted.target)
    if wanted.states:
        query = query.where(slots.c.state.in_([state.value for state in wanted.states]))
    if wanted.worker is not None:
        query = query.where(slots.c.worker == wanted.worker)
    if wanted.text:
        query = query.where(slots.c.name.icontains(wanted.text, autoescape=True))
    if after is not None:
        query = query.where(tuple_(slots.c.worker, slots.c.name) > tuple_(*after))
    return tx.conn.execute(query).all()


def set_state(tx: Tx, name: str, state: SlotState, reason: str | None = None) -> int:
    """Drain or resume the slots of that name, or of "worker/name"; returns how many changed."""
    worker, _, slot = name.rpartition("/")
    wanted = slots.c.name == slot
    if worker:
        wanted &= slots.c.worker == worker
    if not tx.conn.execute(select(slots.c.name).where(wanted)).first():
        raise NotFound(f"there is no device {name!r}; runyard devices lists them")
    change = update(slots).where(wanted, slots.c.state != state.value)
    values = {"state": state.value, "since": tx.now, "reason": reason}
    if state is SlotState.READY:
        values["failures"] = "[]"
    return int(tx.conn.execute(change.values(values)).rowcount)
