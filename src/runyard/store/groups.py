"""Read groups and devices as people see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, case, func, select

from runyard.domain.job import WAITING, JobSpec, State
from runyard.domain.listing import (
    DeviceFilter,
    GroupFilter,
    GroupPage,
    cursor_of,
    number_of,
    place_of,
)
from runyard.domain.yard import DeviceView, GroupView, Holder, Member
from runyard.errors import NotFound
from runyard.store import health, tallies
from runyard.store.database import Tx
from runyard.store.schema import IN_ORDER, groups, in_state, job_specs, jobs, pauses, queues
from runyard.store.statement import kept

MEMBERS = 20  # jobs shown of one group


def page(
    tx: Tx, wanted: GroupFilter, limit: int, cursor: str | None = None, org: str | None = None
) -> GroupPage:
    """Groups with work first, then the newest, of runs only while they last; if ``org`` is given,
    of that org only. A page may be short before the last one."""
    unfolded: dict[int, list[float]] = {}
    for row in tallies.unfolded(tx):
        sums = unfolded.setdefault(row.group_id, [0, 0.0, 0])
        sums[0] += row.queued
        sums[1] += row.work
        sums[2] += row.started
    running = {row.group_id: row.amount for row in tx.conn.execute(_RUNNING)}
    busy = _busy(tx, running, unfolded)
    query = _GROUPS if org is None else _GROUPS.where(groups.c.org_id == org)
    for column in (groups.c.org_id, groups.c.app_version_id, groups.c.target):
        if (value := getattr(wanted, column.name)) is not None:
            query = query.where(column == value)
    if cursor is not None:
        rank, last = map(number_of, place_of(cursor, 2))
        order = _RANK
        query = query.where((order < rank) | ((order == rank) & (groups.c.id < last)))
    rows = tx.conn.execute(query, {**busy, "limit": limit + 1}).all()
    rest, rows = rows[limit:], rows[:limit]
    paused = {row.name for row in tx.conn.execute(select(pauses).filter_by(kind="group"))}
    holders: dict[int, list[Holder]] = {}
    for row in health.all_slots(tx):
        if row.group_id is not None:
            holders.setdefault(row.group_id, []).append(Holder(worker=row.worker, slot=row.name))
    found = []
    for row in rows:
        queued, work, started = unfolded.get(row.id, (0, 0.0, 0))
        found.append(
            GroupView(
                id=row.id,
                org_id=row.org_id,
                app_version_id=row.app_version_id or None,
                target=row.target,
                queued=row.queued + int(queued),
                running=running.get(row.id, 0),
                work_seconds=max(0.0, round(row.work + work, 3)),  # of sums that cancel out
                started=row.started + int(started),
                installs=row.installs,
                is_paused=str(row.id) in paused,
                holders=holders.get(row.id, []),
                jobs=_members(tx, row.id),
            )
        )
    return GroupPage(found, cursor_of((str(rows[-1].rank), str(rows[-1].id))) if rest else None)


def _busy(
    tx: Tx, running: Iterable[int], unfolded: Mapping[int, Sequence[float]]
) -> dict[str, list[int]]:
    """Which groups have work, or have none, as far as their rows do not tell."""
    kept = select(groups.c.id, groups.c.queued).where(groups.c.id.in_(unfolded))
    found = {row.id: row.queued + unfolded[row.id][0] > 0 for row in tx.conn.execute(kept)}
    found |= dict.fromkeys(running, True)
    return {
        "busy": [group for group, is_busy in found.items() if is_busy],
        "idle": [group for group, is_busy in found.items() if not is_busy],
    }


_RUNNING = (
    select(queues.c.group_id, func.count().label("amount"))
    .join(jobs, jobs.c.queue_id == queues.c.id)
    .where(in_state(State.RUNNING))
    .group_by(queues.c.group_id)
)
_IS_BUSY = groups.c.id.in_(bindparam("busy", expanding=True))
_IS_IDLE = groups.c.id.in_(bindparam("idle", expanding=True))
_RANK = case((_IS_BUSY, 1), (_IS_IDLE, 0), (groups.c.queued > 0, 1), else_=0)
_GROUPS = (
    select(groups, _RANK.label("rank"))
    # Each run of a file leaves groups of its own behind, to which nobody will ever add.
    .where((groups.c.pool == "") | (_RANK == 1))
    .order_by(_RANK.desc(), groups.c.id.desc())
    .limit(bindparam("limit"))
)
_MEMBERS = (
    select(jobs.c.id, jobs.c.state, jobs.c.slot, job_specs.c.spec)
    .join_from(jobs, job_specs)
    .where(jobs.c.queue_id.in_(bindparam("queues", expanding=True)))
)
_OF_GROUP = select(queues.c.id).where(queues.c.group_id == bindparam("group"))


def _members(tx: Tx, group: int) -> list[Member]:
    """What runs of a group, then what starts next."""
    ids = list(tx.conn.execute(_OF_GROUP, {"group": group}).scalars())
    running = _MEMBERS.where(in_state(State.RUNNING))
    queued = _MEMBERS.where(in_state(State.QUEUED)).order_by(*IN_ORDER)
    rows: list[Any] = [*tx.conn.execute(running, {"queues": ids})]
    rows += tx.conn.execute(queued.limit(MEMBERS), {"queues": ids}).all()
    return [
        Member(
            id=row.id,
            name=JobSpec.model_validate_json(row.spec).title,
            state=State(row.state),
            slot=row.slot,
        )
        for row in rows[:MEMBERS]
    ]


def must_be(tx: Tx, group: str) -> None:
    """Raises ``NotFound`` unless there is a group of that number."""
    number = int(group) if group.isascii() and group.isdigit() and len(group) < 16 else -1
    known = select(groups.c.id).filter_by(id=number)
    # It is about to be named by its number, so it must not be pruned meanwhile.
    if not tx.conn.execute(kept(known, groups)).first():
        raise missing(group)


def missing(group: int | str) -> NotFound:
    """The error for a group that is not there."""
    return NotFound(f"there is no group {group}; runyard groups lists them")


def waiting_seqs(tx: Tx, group: int, org: str | None = None) -> Sequence[int]:
    """The jobs of a group that have not ended; if ``org`` is given, it must be that org's."""
    known = select(groups.c.id).filter_by(id=group)
    if org is not None:
        known = known.filter_by(org_id=org)
    if not tx.conn.execute(known).first():
        raise missing(group)
    states = [state.value for state in (*WAITING, State.RUNNING)]
    query = (
        select(jobs.c.seq)
        .join(queues, queues.c.id == jobs.c.queue_id)
        .where(queues.c.group_id == group, jobs.c.state.in_(states))
    )
    return tx.conn.execute(query.order_by(jobs.c.seq)).scalars().all()


def devices(tx: Tx, org: str | None = None) -> list[DeviceView]:
    """Every slot there is; if ``org`` is given, without what other orgs have and run there."""
    return _devices(tx, health.all_slots(tx), org)


def device_page(
    tx: Tx,
    wanted: DeviceFilter,
    limit: int,
    after: tuple[str, str] | None = None,
    org: str | None = None,
) -> list[DeviceView]:
    """The same by worker and name, those that fit behind the one of these."""
    return _devices(tx, health.some_slots(tx, wanted, limit, after), org)


def _devices(tx: Tx, rows: Sequence[Any], org: str | None) -> list[DeviceView]:
    query = (
        select(jobs.c.id, jobs.c.worker, jobs.c.slot, job_specs.c.spec)
        .join_from(jobs, job_specs)
        .where(in_state(State.RUNNING), jobs.c.worker.in_({row.worker for row in rows}))
    )
    if org is not None:
        query = (
            query.join(queues, queues.c.id == jobs.c.queue_id)
            .join(groups, groups.c.id == queues.c.group_id)
            .where(groups.c.org_id == org)
        )
    at_work = {(row.worker, row.slot): row for row in tx.conn.execute(query)}
    found = []
    for row in rows:
        job = at_work.get((row.worker, row.name))
        is_told = org is None or row.org_id == org
        found.append(
            DeviceView(
                name=row.name,
                worker=row.worker,
                host=row.host,
                target=row.target,
                state=row.state,
                since=row.since,
                reason=row.reason,
                org_id=row.org_id if is_told else None,
                app_version_id=row.app_version_id if is_told else None,
                job_id=job.id if job else None,
                job_name=JobSpec.model_validate_json(job.spec).title if job else None,
            )
        )
    return found
