"""The tables of what is kept to be run again."""

from __future__ import annotations

from sqlalchemy import Column, Double, String, Table, Text

from runyard.store.schema import Id, metadata

# Job files; ``directory`` is where relative paths in one start from.
templates = Table(
    "templates",
    metadata,
    Column("org_id", Id, primary_key=True),
    Column("name", Id, primary_key=True),
    Column("document", Text, nullable=False),  # JSON
    Column("directory", String),
    Column("created_by", String, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_by", String, nullable=False),
    Column("updated_at", Double, nullable=False),
)
