"""Rules that people set: pauses, and limits of what runs at once.

Limits are exact: whoever is to count against one locks its row first, and what runs is counted, not
remembered, so that no place can leak. What they mean for a job is in ``policy.fits``.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import delete, func, select, update

from runyard.domain.job import State
from runyard.policy.fits import Rules, Scope, Subject, limited_by
from runyard.store.database import Tx
from runyard.store.schema import groups, in_state, jobs, limits, pauses, queues
from runyard.store.statement import kept

# As ``fits.org_key``.
ORG_KEY = (
    func.replace(func.replace(groups.c.org_id, "%", "%25"), "/", "%2F") + "/" + queues.c.limit_key
)


def read(tx: Tx, *, lock: bool = True) -> Rules:
    """All rules as they are now. Limits are locked, unless somebody only wants to look: two who
    claim at once must not both see the last place."""
    query = select(limits).order_by(limits.c.kind, limits.c.name)
    if lock:  # but for those who only need it to stay
        query = query.with_for_update(key_share=True)
    rows = tx.conn.execute(query).all()
    paused: dict[Subject, float] = {
        (Scope(row.kind), row.name): row.since for row in tx.conn.execute(select(pauses))
    }
    maximum: dict[Subject, int] = {(Scope(row.kind), row.name): row.maximum for row in rows}
    return Rules(paused, maximum, running(tx) if maximum else Counter())


def running(tx: Tx) -> Counter[Subject]:
    """How many jobs run of each user, org, target and key."""
    found: Counter[Subject] = Counter()
    for row in tx.conn.execute(_RUNNING):
        for subject in limited_by(row):
            found[subject] += row.amount
    return found


def limit(tx: Tx, scope: Scope, name: str, maximum: int | None, *, by_hand: bool = True) -> None:
    """Let at most ``maximum`` jobs of a user, org, target or key run at once; None lifts it. What
    was set by hand stays whatever jobs ask for."""
    if maximum is None:
        tx.conn.execute(delete(limits).filter_by(kind=scope.value, name=name))
        return
    values = {"kind": scope.value, "name": name}
    new = {"maximum": maximum, "by_hand": by_hand}
    stays = kept(select(limits.c.name).filter_by(**values), limits)
    while not tx.conn.execute(stays).first():
        # Unless somebody else does; and theirs the pruner may have deleted since.
        if tx.dialect.insert_missing(tx.conn, limits, {**values, **new}):
            return
    differs = (limits.c.maximum != maximum) | (limits.c.by_hand != by_hand)
    change = update(limits).filter_by(**values).where(differs)
    if not by_hand:
        change = change.where(limits.c.by_hand.is_(False))
    tx.conn.execute(change.values(new))


def pause(tx: Tx, scope: Scope, name: str) -> bool:
    """Start nothing more of an org, target or group; False if it is paused already."""
    values = {"kind": scope.value, "name": name, "since": tx.now}
    return tx.dialect.insert_missing(tx.conn, pauses, values)


def resume(tx: Tx, scope: Scope, name: str) -> bool:
    """Go on; False if it was not paused."""
    query = delete(pauses).filter_by(kind=scope.value, name=name)
    return bool(tx.conn.execute(query).rowcount)


def holding(tx: Tx, subject: Subject, org: str | None = None, most: int = 5) -> list[str]:
    """The ids of some running jobs that count against a limit; if ``org`` is given, of that org
    only."""
    scope, name = subject
    column = {
        Scope.USER: queues.c.submitted_by,
        Scope.ORG: groups.c.org_id,
        Scope.TARGET: groups.c.target,
        Scope.KEY: queues.c.limit_key,
        Scope.ORG_KEY: ORG_KEY,
    }[scope]
    query = (
        select(jobs.c.id)
        .join_from(jobs, queues, queues.c.id == jobs.c.queue_id)
        .join(groups, groups.c.id == queues.c.group_id)
        .where(in_state(State.RUNNING), column == name)
        .order_by(jobs.c.claimed_at, jobs.c.seq)
    )
    if org is not None:
        query = query.where(groups.c.org_id == org)
    return list(tx.conn.execute(query.limit(most)).scalars())


_WHOSE: tuple[Any, ...] = (
    queues.c.group_id,
    queues.c.submitted_by,
    queues.c.limit_key,
    groups.c.org_id,
    groups.c.target,
)
_RUNNING = (
    select(*_WHOSE, func.count().label("amount"))
    .join_from(jobs, queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .where(in_state(State.RUNNING))
    .group_by(*_WHOSE)
)
