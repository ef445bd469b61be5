"""The requests about users, tokens and the audit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runyard.domain.listing import AuditFilter, TokenFilter, UserFilter
from runyard.domain.user import (
    Actor,
    ApiToken,
    AuditEntry,
    Role,
    TokenScope,
    User,
    checked_name,
)
from runyard.errors import Conflict, Forbidden, InvalidRequest
from runyard.service import credentials
from runyard.service.credentials import TOKEN_PREFIX, digest
from runyard.store import audit, users
from runyard.store.database import Store, Tx

LINK_SECONDS = 15 * 60.0
DAY = 86400.0
LONGEST_DAYS = 3650.0

Result = TypeVar("Result")


class Accounts:
    """Users and tokens, on one store, as ``actor`` may see and change them."""

    def __init__(self, store: Store, actor: Actor) -> None:
        self._store = store
        self._actor = actor

    def add(
        self, name: str, role: Role, org_id: str = "default", password: str | None = None
    ) -> User:
        """A new user; without a password, one who signs in by links and tokens. Raises
        ``Conflict`` if the name is taken."""
        checked_name(name)
        if not org_id or len(org_id) > 300 or "\0" in org_id:
            raise InvalidRequest("an org's name has between 1 and 300 characters")
        hashed = credentials.hash_password(password) if password is not None else None
        data = {"role": role, "org_id": org_id}
        return self._change(
            "user.add", name, lambda tx: users.add(tx, name, role, org_id, hashed), data
        )

    def page(
        self, after: str = "", limit: int = 100, wanted: UserFilter | None = None
    ) -> list[User]:
        """Users by name, those behind ``after``."""
        self._actor.require_admin()
        with self._store.read() as tx:
            return users.every(tx, after, limit, wanted)

    def get(self, name: str) -> User:
        """A user; everybody may see themselves."""
        if name != self._actor.name:
            self._actor.require_admin()
        with self._store.read() as tx:
            return users.named(tx, name).user

    def exist(self, *, with_password: bool = False) -> bool:
        """Whether anybody can sign in, or can with a password."""
        with self._store.read() as tx:
            return users.exist(tx, with_password=with_password)

    def set_role(self, name: str, role: Role) -> User:
        """Let somebody do more, or less, from now on."""
        return self.change(name, role=role)

    def set_password(self, name: str, password: str, current: str | None = None) -> User:
        """Give somebody, or oneself, another password; their sessions end. Only servers want to
        know the ``current`` one: whoever reaches the store needs none."""
        return self.change(name, password=password)

    def disable(self, name: str) -> User:
        """Let somebody in no more; what they have open ends, and their tokens."""
        return self.change(name, disabled=True)

    def enable(self, name: str) -> User:
        """Let somebody in again."""
        return self.change(name, disabled=False)

    def change(
        self,
        name: str,
        *,
        role: Role | None = None,
        password: str | None = None,
        disabled: bool | None = None,
    ) -> User:
        """All of it or, on any error, none; None leaves something as it is. One's own password
        may be changed by everybody."""
        is_own = name == self._actor.name and self._actor.scope is TokenScope.FULL
        if not is_own or role is not None or disabled is not None:
            self._actor.require_admin()
        hashed = None if password is None else credentials.hash_password(password)

        def work(tx: Tx) -> User:
            user = users.named(tx, name).user
            if hashed is not None:
                users.change(tx, user.id, password_hash=hashed)
                users.revoke_all(tx, user.id)
                audit.note(tx, self._actor, "user.set_password", name)
            if role is not None:
                users.change(tx, user.id, role=role.value)
                audit.note(tx, self._actor, "user.set_role", name, {"role": role})
            if disabled is not None:
                self._let_in(tx, user, not disabled)
            return users.named(tx, name).user

        return self._store.write(work)

    def _let_in(self, tx: Tx, user: User, is_welcome: bool) -> None:
        if is_welcome:
            users.change(tx, user.id, disabled_at=None)
        else:
            if user.disabled_at is not None:
                raise Conflict(f"{user.name} is disabled already")
            users.change(tx, user.id, disabled_at=tx.now)
            users.revoke_all(tx, user.id, tokens=True)
        action = "user.enable" if is_welcome else "user.disable"
        audit.note(tx, self._actor, action, user.name)

    def login_link(self, name: str) -> str:
        """The secret of a link that signs somebody in once, within some minutes."""
        secret = credentials.new_secret()

        def work(tx: Tx) -> None:
            found = users.named(tx, name).user
            if found.disabled_at is not None:
                raise Conflict(f"{name} is disabled")
            users.add_link(tx, found.id, digest(secret), tx.now + LINK_SECONDS)

        self._change("user.link", name, work)
        return secret

    # Tokens.

    def create_token(
        self, name: str, scope: TokenScope, days: float | None = 90.0, user: str | None = None
    ) -> tuple[ApiToken, str]:
        """A token for oneself or, as an admin, for somebody else; and its text, which nobody can
        tell again. ``days`` None means that it never expires."""
        whose = user or self._actor.name
        self._require_self(whose)
        if not name or len(name) > 100 or "\0" in name:
            raise InvalidRequest("give the token a name of at most 100 characters")
        if days is not None and not 0 < days <= LONGEST_DAYS:
            raise InvalidRequest(f"a token lasts up to {LONGEST_DAYS:.0f} days, or for ever")
        token_id, secret = credentials.new_id(), credentials.new_secret()

        def work(tx: Tx) -> ApiToken:
            holder = users.named(tx, whose).user
            until = None if days is None else tx.now + days * DAY
            users.add_token(tx, token_id, holder.id, name, scope, digest(secret), until)
            audit.note(tx, self._actor, "token.create", token_id, {"user": whose, "scope": scope})
            return ApiToken(
                id=token_id,
                user=whose,
                name=name,
                scope=scope,
                created_at=tx.now,
                expires_at=until,
            )

        return self._store.write(work), f"{TOKEN_PREFIX}_{token_id}_{secret}"

    def tokens(self, user: str | None = None) -> list[ApiToken]:
        """One's own tokens, or those of ``user``, the newest first; ``*`` is everybody's."""
        return self.token_page(user, TokenFilter())

    def token_page(
        self,
        user: str | None,
        wanted: TokenFilter,
        limit: int | None = None,
        after: tuple[float, str] | None = None,
    ) -> list[ApiToken]:
        """Those that fit, behind the one that was made then and has this id."""
        whose = user or self._actor.name
        if whose != self._actor.name:
            self._actor.require_admin()
        with self._store.read() as tx:
            holder = None if whose == "*" else users.named(tx, whose).user.id
            return list(users.tokens(tx, holder, wanted, limit, after))

    def revoke_token(self, token_id: str) -> None:
        """End a token; somebody else's as an admin."""
        only = None if self._actor.is_admin else self._actor.user_id
        self._require_self(self._actor.name)

        def work(tx: Tx) -> None:
            users.revoke_token(tx, token_id, only)
            audit.note(tx, self._actor, "token.revoke", token_id)

        self._store.write(work)

    def _require_self(self, whose: str) -> None:
        """A token must not make others that may do more than itself, nor outlive it."""
        if self._actor.scope is not TokenScope.FULL:
            raise Forbidden("this token may not manage tokens")
        if whose != self._actor.name:
            self._actor.require_admin()

    # The record.

    def audit(
        self, wanted: AuditFilter | None = None, limit: int = 100, before: int | None = None
    ) -> list[AuditEntry]:
        """Who changed what, the newest first, of those before the one of that number."""
        self._actor.require_admin()
        with self._store.read() as tx:
            return audit.page(tx, wanted or AuditFilter(), limit, before)

    def _change(
        self,
        action: str,
        subject: str,
        work: Callable[[Tx], Result],
        data: dict[str, str] | None = None,
    ) -> Result:
        self._actor.require_admin()

        def noted(tx: Tx) -> Result:
            done = work(tx)
            audit.note(tx, self._actor, action, subject, data)
            return done

        return self._store.write(noted)
