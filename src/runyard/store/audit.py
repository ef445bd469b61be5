"""The record of who changed what, written in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, insert, select

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
