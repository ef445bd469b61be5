"""Limits that jobs ask for hold for their own org only: its keys are a kind of their own."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

OLD = "kind IN ('user', 'org', 'target', 'key')"
NEW = "kind IN ('user', 'org', 'target', 'key', 'org-key')"


def upgrade() -> None:
    found = _limits()
    asked = {row["name"]: row for row in found if row["kind"] == "key" and not row["by_hand"]}
    stay = [row for row in found if row not in asked.values()]
    of_orgs = [
        {**asked[key], "kind": "org-key", "name": f"{_escaped(org)}/{key}"}
        for org, key in _used_keys()
        if key in asked
    ]
    _make(NEW, stay + of_orgs)


def downgrade() -> None:
    # Who asked for what is not kept: the key of any org stands for that of all.
    keys = {}
    for row in _limits():
        is_own = row["kind"] == "org-key"
        place = ("key", row["name"].partition("/")[2]) if is_own else (row["kind"], row["name"])
        if not is_own or place not in keys:
            keys[place] = {**row, "kind": place[0], "name": place[1]}
    _make(OLD, list(keys.values()))


def _limits() -> list[dict[str, Any]]:
    table = sa.table("limits", *map(sa.column, ("kind", "name", "maximum", "by_hand")))
    by_hand_first = sa.select(table).order_by(table.c.by_hand.desc(), table.c.kind, table.c.name)
    return [
        {**row, "by_hand": bool(row["by_hand"])}
        for row in op.get_bind().execute(by_hand_first).mappings()
    ]


def _used_keys() -> list[tuple[str, str]]:
    query = """
        SELECT DISTINCT groups.org_id, queues.limit_key
        FROM queues JOIN groups ON groups.id = queues.group_id WHERE queues.limit_key <> ''
    """
    return [tuple(row) for row in op.get_bind().execute(sa.text(query))]


def _escaped(org: str) -> str:
    return org.replace("%", "%25").replace("/", "%2F")


def _make(kinds: str, rows: list[dict[str, Any]]) -> None:
    # SQLite changes no check of a table that exists; limits are few.
    op.drop_table("limits")
    table = op.create_table(
        "limits",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("maximum", sa.Integer(), nullable=False),
        sa.Column("by_hand", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.CheckConstraint(kinds, name=op.f("ck_limits_kind")),
        sa.CheckConstraint("maximum >= 0", name=op.f("ck_limits_maximum")),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_limits")),
    )
    op.bulk_insert(table, rows)
