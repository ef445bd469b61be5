"""The tables of what is kept to be run again."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from runyard.domain.timetable import Missed, Overlap
from runyard.store.schema import Id, Seq, metadata, one_of

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

# When templates are run. ``next_at`` moves on in the transaction that submits what was due.
schedules = Table(
    "schedules",
    metadata,
    Column("id", Seq, primary_key=True, autoincrement=True),
    Column("org_id", Id, nullable=False),
    Column("name", Id, nullable=False),
    Column("template", Id, nullable=False),
    Column("cron", String, nullable=False),
    Column("timezone", String, nullable=False),
    Column("parameters", Text, nullable=False),  # JSON
    Column("missed", String, nullable=False),
    Column("overlap", String, nullable=False, server_default="allow"),
    Column("created_by", String, nullable=False),
    Column("user_id", Seq),  # of the creator; NULL for whoever worked on the store itself
    Column("created_at", Double, nullable=False),
    Column("paused_at", Double),
    Column("next_at", Double),
    Column("last_due", Double),
    Column("last_batch", String),
    Column("last_error", Text),
    UniqueConstraint("org_id", "name"),
    ForeignKeyConstraint(["org_id", "template"], ["templates.org_id", "templates.name"]),
    CheckConstraint(one_of("missed", Missed), name="missed"),
    CheckConstraint(one_of("overlap", Overlap), name="overlap"),
    CheckConstraint("(paused_at IS NULL) = (next_at IS NOT NULL)", name="next"),
    Index("ix_schedules_next_at", "next_at"),
    Index("ix_schedules_template", "org_id", "template"),
    # A number is never given twice: it is part of the key under which a run is submitted.
    sqlite_autoincrement=True,
)
