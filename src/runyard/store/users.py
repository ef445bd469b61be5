"""Users, and what they sign in with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, update

from runyard.domain.listing import TokenFilter, UserFilter
from runyard.domain.user import ApiToken, Role, TokenScope, User
from runyard.errors import Conflict, NotFound
from runyard.store.database import Look, Tx
from runyard.store.statement import Statement, instant
from runyard.store.user_tables import api_tokens, login_failures, login_links, sessions, users


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as sign-in needs them, with the hash of their password."""

    user: User
    password_hash: str | None


# Users.


def add(tx: Tx, name: str, role: Role, org_id: str, password_hash: str | None) -> User:
    """A new user. Raises ``Conflict`` if the name is taken."""
    values = {
        "name": name,
        "role": role.value,
        "org_id": org_id,
        "password_hash": password_hash,
        "created_at": tx.now,
    }
    if not tx.dialect.insert_missing(tx.conn, users, values):
        raise Conflict(f"there is a user {name!r} already")
    return named(tx, name).user


def named(tx: Tx, name: str) -> Identity:
    """The user of a name."""
    row = tx.conn.execute(select(users).filter_by(name=name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no user {name!r}")
    return Identity(_user(row), row.password_hash)


def every(
    tx: Tx, after: str = "", limit: int = 1000, wanted: UserFilter | None = None
) -> list[User]:
    """Users by name, those behind ``after``."""
    only = wanted or UserFilter()
    query = select(users).where(users.c.name > after).order_by(users.c.name).limit(limit)
    if only.role is not None:
        query = query.where(users.c.role == only.role.value)
    if only.org_id is not None:
        query = query.where(users.c.org_id == only.org_id)
    if only.text:
        query = query.where(users.c.name.icontains(only.text, autoescape=True))
    return [_user(row) for row in tx.conn.execute(query)]


def exist(tx: Tx, *, with_password: bool = False) -> bool:
    """Whether anybody may sign in; ``with_password`` asks for one who can do so by a password."""
    query = select(users.c.id).where(users.c.disabled_at.is_(None)).limit(1)
    if with_password:
        query = query.where(users.c.password_hash.is_not(None))
    return tx.conn.execute(query).first() is not None


def change(tx: Tx, user_id: int, **values: Any) -> None:
    """Give columns of a user other values. The last admin stays one: raises ``Conflict``.

    All admins are locked first: of two who go at once, the second sees that the first is gone.
    """
    had_admins = tx.conn.execute(tx.dialect.lock(_ADMINS)).all()
    tx.conn.execute(update(users).where(users.c.id == user_id).values(**values))
    if had_admins and not tx.conn.execute(_ADMINS.limit(1)).first():
        raise Conflict("this is the last admin: make somebody else one first")


_ADMINS = (
    select(users.c.id)
    .where(users.c.role == Role.ADMIN.value, users.c.disabled_at.is_(None))
    .order_by(users.c.id)
)


def _user(row: Any) -> User:
    return User(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        org_id=row.org_id,
        has_password=row.password_hash is not None,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


# Sessions.


@dataclass(frozen=True, slots=True)
class Session:
    """A user who signed in; ``secret`` is a hash."""

    user: User
    secret: str
    renewed_at: float | None


def open_session(
    tx: Tx, session_id: str, user_id: int, secret: str, address: str, expires_at: float
) -> None:
    """Remember that somebody signed in."""
    values = {
        "id": session_id,
        "user_id": user_id,
        "secret": secret,
        "address": address,
        "created_at": tx.now,
        "expires_at": expires_at,
    }
    tx.conn.execute(insert(sessions), values)


def session(look: Look, session_id: str) -> Session | None:
    """A session that is neither over nor revoked, of a user who is not disabled."""
    return _session(_SESSION.rows(look, id=session_id, now=look.now))


def locked_session(tx: Tx, session_id: str) -> Session | None:
    """The same, and nobody else changes it until the transaction ends."""
    return _session(_LOCKED_SESSION.rows(tx, id=session_id, now=tx.now))


def _session(rows: Sequence[Any]) -> Session | None:
    return Session(_user(rows[0]), rows[0].secret, rows[0].renewed_at) if rows else None


_OPEN = (
    select(users, sessions.c.secret, sessions.c.renewed_at)
    .join_from(sessions, users)
    .where(
        sessions.c.id == bindparam("id"),
        sessions.c.expires_at > instant(),
        sessions.c.revoked_at.is_(None),
        users.c.disabled_at.is_(None),
    )
)
_SESSION = Statement(_OPEN)
_LOCKED_SESSION = Statement(_OPEN.with_for_update(of=sessions))


def renew_session(tx: Tx, session_id: str, secret: str, expires_at: float) -> None:
    """Change the secret of a session that is locked."""
    query = update(sessions).where(sessions.c.id == session_id)
    tx.conn.execute(query.values(secret=secret, renewed_at=tx.now, expires_at=expires_at))


def revoke_session(tx: Tx, session_id: str) -> None:
    """End a session before its time."""
    _revoke(tx, sessions, sessions.c.id == session_id)


def revoke_all(tx: Tx, user_id: int, *, tokens: bool = False) -> None:
    """End all sessions of a user, and perhaps their tokens."""
    _revoke(tx, sessions, sessions.c.user_id == user_id)
    tx.conn.execute(delete(login_links).filter_by(user_id=user_id))
    if tokens:
        _revoke(tx, api_tokens, api_tokens.c.user_id == user_id)


def _revoke(tx: Tx, table: Any, condition: Any) -> bool:
    query = update(table).where(condition, table.c.revoked_at.is_(None))
    return bool(tx.conn.execute(query.values(revoked_at=tx.now)).rowcount)


def forget_expired(tx: Tx) -> None:
    """Delete sessions and links whose time is over, and failures that do not count any more."""
    tx.conn.execute(delete(sessions).where(sessions.c.expires_at < tx.now))
    tx.conn.execute(delete(login_links).where(login_links.c.expires_at < tx.now))
    old = login_failures.c.at < tx.now - FORGIVEN_SECONDS
    tx.conn.execute(delete(login_failures).where(old))


# Links.


def add_link(tx: Tx, user_id: int, secret: str, expires_at: float) -> None:
    """Remember a link by the hash of its secret."""
    values = {"secret": secret, "user_id": user_id, "expires_at": expires_at}
    tx.conn.execute(insert(login_links), values)


def link_holder(tx: Tx, secret: str) -> User | None:
    """Whose a link is, if it is still good."""
    query = (
        select(users)
        .join_from(login_links, users)
        .where(
            login_links.c.secret == secret,
            login_links.c.expires_at > tx.now,
            users.c.disabled_at.is_(None),
        )
    )
    row = tx.conn.execute(query).one_or_none()
    return None if row is None else _user(row)


def take_link(tx: Tx, secret: str) -> User | None:
    """Use up a link: whose it was, if it was still good."""
    user = link_holder(tx, secret)
    # Whoever deletes it has it: of two who come at once, one.
    gone = tx.conn.execute(delete(login_links).filter_by(secret=secret)).rowcount
    return user if gone else None


# API tokens.


def add_token(
    tx: Tx,
    token_id: str,
    user_id: int,
    name: str,
    scope: TokenScope,
    secret: str,
    expires_at: float | None,
) -> None:
    """Remember a token by the hash of its secret."""
    values = {
        "id": token_id,
        "user_id": user_id,
        "name": name,
        "scope": scope.value,
        "secret": secret,
        "created_at": tx.now,
        "expires_at": expires_at,
    }
    tx.conn.execute(insert(api_tokens), values)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a token is and what it may do; ``secret`` is a hash, and ``idle`` for how many
    seconds it has not been used, None if it never was."""

    user: User
    scope: TokenScope
    secret: str
    idle: float | None


def token_holder(look: Look, token_id: str) -> Holder | None:
    """Whose a token is that is neither over nor revoked, of a user who is not disabled."""
    rows = _HOLDER.rows(look, id=token_id, now=look.now)
    if not rows:
        return None
    row = rows[0]
    return Holder(_user(row), TokenScope(row.scope), row.secret, row.idle)


_HOLDER = Statement(
    select(
        users,
        api_tokens.c.scope,
        api_tokens.c.secret,
        (instant() - api_tokens.c.used_at).label("idle"),
    )
    .join_from(api_tokens, users)
    .where(
        api_tokens.c.id == bindparam("id"),
        func.coalesce(api_tokens.c.expires_at > instant(), True),
        api_tokens.c.revoked_at.is_(None),
        users.c.disabled_at.is_(None),
    )
)


def used_token(tx: Tx, token_id: str) -> None:
    """Note that a token was used now."""
    tx.conn.execute(update(api_tokens).filter_by(id=token_id).values(used_at=tx.now))


def revoke_token(tx: Tx, token_id: str, user_id: int | None) -> None:
    """End a token; one of another user than ``user_id``, if that is given, does not exist."""
    condition = api_tokens.c.id == token_id
    if user_id is not None:
        condition &= api_tokens.c.user_id == user_id
    if not _revoke(tx, api_tokens, condition):
        raise NotFound(f"there is no token {token_id!r} that is not revoked")


def tokens(
    tx: Tx,
    user_id: int | None = None,
    wanted: TokenFilter | None = None,
    limit: int | None = None,
    after: tuple[float, str] | None = None,
) -> Sequence[ApiToken]:
    """The tokens of a user, or of all, the newest first; those behind one that was made then and
    has this id."""
    made, name = api_tokens.c.created_at, api_tokens.c.id
    query = (
        select(api_tokens, users.c.name.label("user"))
        .join_from(api_tokens, users)
        .order_by(made.desc(), name)
        .limit(limit)
    )
    if user_id is not None:
        query = query.where(api_tokens.c.user_id == user_id)
    if wanted is not None and wanted.scope is not None:
        query = query.where(api_tokens.c.scope == wanted.scope.value)
    if wanted is not None and wanted.text:
        query = query.where(api_tokens.c.name.icontains(wanted.text, autoescape=True))
    if after is not None:
        query = query.where((made < after[0]) | ((made == after[0]) & (name > after[1])))
    return [
        ApiToken.model_validate({k: v for k, v in row._mapping.items() if k != "secret"})
        for row in tx.conn.execute(query)
    ]


# Attempts to sign in.


FORGIVEN_SECONDS = 3600.0  # after which a row of failures begins anew


def count_try(tx: Tx, kind: str, name: str) -> tuple[int, float]:
    """Count a try to sign in as failed until it succeeds; returns how many failed in a row before
    it, and when the last one was.

    The count is locked until the transaction ends: of many who try at once, each sees the others.
    """
    tx.dialect.insert_missing(
        tx.conn, login_failures, {"kind": kind, "name": name, "failures": 0, "at": tx.now}
    )
    counted = select(login_failures).filter_by(kind=kind, name=name)
    row = tx.conn.execute(tx.dialect.lock(counted)).one()
    failures = row.failures if row.at > tx.now - FORGIVEN_SECONDS else 0
    query = update(login_failures).filter_by(kind=kind, name=name)
    tx.conn.execute(query.values(failures=failures + 1, at=tx.now))
    return failures, row.at


def forget_tries(tx: Tx, kind: str, name: str) -> None:
    """Count none of these tries any more."""
    tx.conn.execute(delete(login_failures).filter_by(kind=kind, name=name))


def take_back_try(tx: Tx, kind: str, name: str) -> None:
    """Count one try less."""
    query = update(login_failures).filter_by(kind=kind, name=name)
    tx.conn.execute(query.values(failures=login_failures.c.failures - 1))


def came_from(tx: Tx, name: str, address: str) -> bool:
    """Whether this user has signed in from there, as far as sessions are remembered."""
    query = (
        select(sessions.c.id)
        .join_from(sessions, users)
        .where(users.c.name == name, sessions.c.address == address)
    )
    return tx.conn.execute(query.limit(1)).first() is not None
