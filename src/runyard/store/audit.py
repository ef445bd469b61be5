"""The record of who changed what, written in the transaction of the change.

Sign-ins that failed stand there, too. Anybody can add to them, so they are summed up by the hour,
and forgotten when they are old.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, text, update

from runyard.domain.listing import AuditFilter
from runyard.domain.user import Actor, AuditEntry
from runyard.store.database import Tx
from runyard.store.statement import Statement
from runyard.store.user_tables import audit


def note(
    tx: Tx, actor: Actor, action: str, subject: str, data: Mapping[str, Any] | None = None
) -> None:
    """Somebody did ``action``, a name such as ``job.cancel``, to ``subject``."""
    values = {
        "at": tx.now,
        "actor": actor.name,
        "address": actor.address,
        "action": action,
        "subject": subject,
        "data": json.dumps(data) if data else None,
    }
    tx.later(_INSERT, [values])


_INSERT = Statement(
    insert(audit)
    .inline()
    .values({c.name: bindparam(c.name) for c in audit.columns if c.name != "seq"})
)


FAILED = "sign_in.failed"
SUMMED_SECONDS = 3600.0
MOST_FAILED = 200  # names and addresses that are told apart in that time
OTHERS = "*"  # what stands for the rest of them

# As a literal: with a bound value no planner would see that the index of these fits.
_IS_FAILED = text(f"action = '{FAILED}'")


def note_failed(tx: Tx, name: str, address: str) -> None:
    """Somebody tried to sign in with ``name`` and did not succeed; ``tries`` counts how often in
    this hour."""
    since = tx.now - tx.now % SUMMED_SECONDS
    rows = select(audit).where(_IS_FAILED, audit.c.at >= since, audit.c.data.is_not(None))
    # With a limit, so that no planner looks for the name first, who may have done much else.
    this_hour = rows.limit(2 * MOST_FAILED).subquery()
    for who, where in ((name, address), (OTHERS, OTHERS)):
        same = select(this_hour.c.seq).filter_by(actor=who, address=where).limit(1)
        seq = tx.conn.execute(same).scalar()
        if seq is not None:
            _count_one_more(tx, seq)
            return
        told_apart = tx.conn.execute(select(func.count()).select_from(this_hour)).scalar_one()
        if who == OTHERS or told_apart < MOST_FAILED:
            note(tx, Actor(who, address=where), FAILED, who, {"tries": 1})
            return


def _count_one_more(tx: Tx, seq: int) -> None:
    entry = select(audit.c.data).filter_by(seq=seq)
    for data in tx.conn.execute(tx.dialect.lock(entry)).scalars().all():
        changed = json.dumps({"tries": json.loads(data)["tries"] + 1})
        tx.conn.execute(update(audit).filter_by(seq=seq).values(data=changed))


def forget_failed(tx: Tx, before: float) -> None:
    """Delete the failed sign-ins from before an instant."""
    tx.conn.execute(delete(audit).where(_IS_FAILED, audit.c.at < before))


def page(tx: Tx, wanted: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
    """Entries, the newest first."""
    query = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    for column in (audit.c.actor, audit.c.action, audit.c.subject):
        if (value := getattr(wanted, column.name)) is not None:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(audit.c.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(audit.c.at < wanted.until)
    if before is not None:
        query = query.where(audit.c.seq < before)
    return [
        AuditEntry(**{**row._mapping, "data": json.loads(row.data) if row.data else {}})
        for row in tx.conn.execute(query)
    ]
