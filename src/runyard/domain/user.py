"""Who there is, and what they may do.

An admin may do everything everywhere. A member sees the jobs of their org and changes their own;
a viewer only looks. What somebody may not see looks to them as if it did not exist.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from runyard.domain.job import Timestamp
from runyard.errors import Forbidden, InvalidRequest

_NAME = r"[A-Za-z0-9._@+-]{1,100}"
UserName = Annotated[str, Field(pattern=f"^{_NAME}$")]


def checked_name(name: str) -> str:
    """The name, if it can be a user's. Raises ``InvalidRequest``."""
    if not re.fullmatch(_NAME, name):
        raise InvalidRequest(f"{name!r} cannot be a user's name: use letters, digits and . _ @ + -")
    return name


class Role(StrEnum):
    """What a user may do."""

    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class TokenScope(StrEnum):
    """What an API token may do of what its user may."""

    READ = "read"
    SUBMIT = "submit"  # read, and submit and change jobs
    FULL = "full"  # all that its user may


class User(BaseModel):
    """A person or a machine that signs in. Times are POSIX seconds in Python."""

    id: int
    name: str
    role: Role
    org_id: str
    has_password: bool = False
    created_at: Timestamp = None
    disabled_at: Timestamp = None


class ApiToken(BaseModel):
    """What a program signs in with; its secret is shown once and not kept."""

    id: str
    user: str
    name: str
    scope: TokenScope
    created_at: Timestamp = None
    expires_at: Timestamp = None
    revoked_at: Timestamp = None
    used_at: Timestamp = None


class AuditEntry(BaseModel):
    """A change that somebody made: who, from where, what, to what."""

    seq: int
    at: Timestamp
    actor: str
    address: str
    action: str
    subject: str
    data: dict[str, object] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody on whose behalf something is done. ``address`` is where the request came from."""

    name: str
    role: Role = Role.ADMIN
    org_id: str = "default"
    scope: TokenScope = TokenScope.FULL
    address: str = "local"
    user_id: int | None = None  # None for whoever works on the store itself

    @property
    def is_admin(self) -> bool:
        """Whether everything is theirs."""
        return self.role is Role.ADMIN and self.scope is TokenScope.FULL

    @property
    def can_change_jobs(self) -> bool:
        """Whether they may submit jobs, and change those that are theirs."""
        return self.role is not Role.VIEWER and self.scope is not TokenScope.READ

    @property
    def sees(self) -> str | None:
        """The one org whose jobs they see; None for all orgs."""
        return None if self.role is Role.ADMIN else self.org_id

    def may_change(self, owner: str) -> bool:
        """Whether they may change what ``owner`` submitted, of what they see."""
        return self.can_change_jobs and (self.role is Role.ADMIN or owner == self.name)

    def require_admin(self) -> None:
        """Raises ``Forbidden`` unless they may administer."""
        if not self.is_admin:
            raise Forbidden("only an admin may do this")

    def require_change(self) -> None:
        """Raises ``Forbidden`` for those who may only look."""
        if self.role is Role.VIEWER:
            raise Forbidden("a viewer may only look")
        if self.scope is TokenScope.READ:
            raise Forbidden("this token may only read")
