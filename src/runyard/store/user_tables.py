"""The tables of users, what they sign in with, and what they changed."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Double, ForeignKey, Index, Integer, String, Table
from sqlalchemy import Text as LongText

from runyard.domain.user import Role, TokenScope
from runyard.store.schema import Seq, metadata, one_of

users = Table(
    "users",
    metadata,
    Column("id", Seq, primary_key=True, autoincrement=True),
    Column("name", String, nullable=False, unique=True),
    Column("role", String, nullable=False),
    Column("org_id", String, nullable=False),
    Column("password_hash", String),  # NULL: signs in by links and tokens only
    Column("created_at", Double, nullable=False),
    Column("disabled_at", Double),
    CheckConstraint(one_of("role", Role), name="role"),
    # A number is never given twice: what an old token says must not mean somebody new.
    sqlite_autoincrement=True,
)

# Somebody who signed in. ``secret`` is the SHA-256 of what renews the session, and changes each
# time.
sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("user_id", Seq, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("secret", String, nullable=False),
    Column("address", String, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("renewed_at", Double),
    Column("expires_at", Double, nullable=False),
    Column("revoked_at", Double),
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_expires_at", "expires_at"),
)

# A link that signs somebody in, once.
login_links = Table(
    "login_links",
    metadata,
    Column("secret", String, primary_key=True),  # SHA-256
    Column("user_id", Seq, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("expires_at", Double, nullable=False),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String, primary_key=True),
    Column("user_id", Seq, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("secret", String, nullable=False),  # SHA-256
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("used_at", Double),
    CheckConstraint(one_of("scope", TokenScope), name="scope"),
    Index("ix_api_tokens_user_id", "user_id"),
)

# Attempts to sign in that failed, in a row: for a name (``user``), from an address, and for the
# name from the address (``pair``).
login_failures = Table(
    "login_failures",
    metadata,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("at", Double, nullable=False),
    CheckConstraint("kind IN ('user', 'address', 'pair')", name="kind"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("actor", String, nullable=False),
    Column("address", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("data", LongText),
    Index("ix_audit_actor", "actor", "seq"),
    sqlite_autoincrement=True,
)

# At most so many jobs of a user or org may wait; "*" is everybody without a line of their own.
quotas = Table(
    "quotas",
    metadata,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("waiting", Integer, nullable=False),
    CheckConstraint("kind IN ('user', 'org')", name="kind"),
    CheckConstraint("waiting >= 0", name="waiting"),
)
