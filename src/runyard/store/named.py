"""Lists of what an org has given names to, in the order of org and name."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, Table, select

from runyard.domain.listing import NameFilter

Place = tuple[str, str]  # org and name


def page(
    table: Table, org_id: str | None, limit: int, after: Place, wanted: NameFilter | None
) -> Select[Any]:
    """The rows of an org, or of all, behind the one named; ``wanted`` narrows them further."""
    org, name = after
    query = select(table).order_by(table.c.org_id, table.c.name).limit(limit)
    query = query.where((table.c.org_id > org) | ((table.c.org_id == org) & (table.c.name > name)))
    if org_id is not None:
        query = query.where(table.c.org_id == org_id)
    if wanted is not None and wanted.org_id is not None:
        query = query.where(table.c.org_id == wanted.org_id)
    if wanted is not None and wanted.text:
        query = query.where(table.c.name.icontains(wanted.text, autoescape=True))
    return query
