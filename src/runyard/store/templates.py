"""Keep templates. Two who save one at once are one after the other: the later one holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from runyard.domain.listing import NameFilter
from runyard.store import named
from runyard.store.database import Tx
from runyard.store.named import Place
from runyard.store.template_tables import templates


@dataclass(frozen=True, slots=True)
class TemplateRow:
    """A template as the database holds it; ``document`` is JSON."""

    org_id: str
    name: str
    document: str
    directory: str | None
    created_by: str
    created_at: float
    updated_by: str
    updated_at: float


def save(
    tx: Tx, org_id: str, name: str, document: str, directory: str | None, user: str
) -> TemplateRow:
    """Save one, over what has its name; returns it."""
    said = {
        "document": document,
        "directory": directory,
        "updated_by": user,
        "updated_at": tx.now,
    }
    new = {"org_id": org_id, "name": name, "created_by": user, "created_at": tx.now, **said}
    if not tx.dialect.insert_missing(tx.conn, templates, new):
        tx.conn.execute(update(templates).where(*_is(org_id, name)).values(**said))
    row = get(tx, org_id, name)
    assert row is not None
    return row


def get(tx: Tx, org_id: str, name: str) -> TemplateRow | None:
    """The one of that name."""
    row = tx.conn.execute(select(templates).where(*_is(org_id, name))).one_or_none()
    return None if row is None else TemplateRow(**row._mapping)


def some(
    tx: Tx, org_id: str | None, limit: int, after: Place, wanted: NameFilter | None = None
) -> list[TemplateRow]:
    """Those of an org, or of all, in the order of org and name, behind the one named."""
    query = named.page(templates, org_id, limit, after, wanted)
    return [TemplateRow(**row._mapping) for row in tx.conn.execute(query)]


def remove(tx: Tx, org_id: str, name: str) -> bool:
    """Forget one; False if there is none."""
    return bool(tx.conn.execute(delete(templates).where(*_is(org_id, name))).rowcount)


def _is(org_id: str, name: str) -> tuple[Any, Any]:
    return templates.c.org_id == org_id, templates.c.name == name
