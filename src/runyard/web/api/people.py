"""Users, tokens, limits and the audit over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from runyard.domain.job import ShortText
from runyard.domain.user import ApiToken, AuditEntry, Role, TokenScope, User, UserName
from runyard.domain.yard import LimitView
from runyard.errors import Forbidden, NotAuthenticated
from runyard.policy.fits import Scope
from runyard.web.bodies import Route
from runyard.web.callers import Caller, Here, address_of
from runyard.web.faults import documented
from runyard.web.params import Cursor, Limit, Name, Text
from runyard.web.passwords import hashes

router = APIRouter(route_class=Route)

Password = Annotated[str, Field(max_length=1000)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewUser(_Body):
    """Without a password, they sign in by links and tokens."""

    name: UserName
    role: Role = Role.MEMBER
    org_id: ShortText = "default"
    password: Password | None = None


class ChangedUser(_Body):
    """What shall be different; what is not given stays."""

    role: Role | None = None
    password: Password | None = None
    current_password: Password | None = None
    disabled: bool | None = None


class UserPage(BaseModel):
    """Users by name; ``next`` is the cursor of the next page."""

    users: list[User]
    next: str | None = None


@router.get("/users", tags=["users"], responses=documented(401, 403, 422))
def users(here: Here, caller: Caller, limit: Limit = 100, cursor: Text = "") -> UserPage:
    """All users, by name; for admins."""
    found = here.accounts(caller).page(cursor, limit + 1)
    shown = found[:limit]
    return UserPage(users=shown, next=shown[-1].name if len(found) > limit else None)


@router.post(
    "/users", tags=["users"], status_code=201, responses=documented(400, 401, 403, 409, 413, 422)
)
@hashes
def add_user(request: Request, here: Here, caller: Caller, body: NewUser) -> User:
    """A new user; for admins."""
    return here.accounts(caller).add(body.name, body.role, body.org_id, body.password)


@router.get("/users/{name}", tags=["users"], responses=documented(401, 403, 404, 422))
def user(here: Here, caller: Caller, name: Name) -> User:
    """One user; oneself, or anybody for admins."""
    return here.accounts(caller).get(name)


@router.patch(
    "/users/{name}", tags=["users"], responses=documented(400, 401, 403, 404, 409, 413, 422, 429)
)
@hashes
def change_user(
    request: Request, here: Here, caller: Caller, name: Name, body: ChangedUser
) -> User:
    """Another role or password; disabled or not. Others than one's own password: for admins. For
    one's own, the ``current_password`` is needed: a token alone must not take somebody's place."""
    accounts = here.accounts(caller)
    if body.password is not None and name == caller.name and accounts.get(name).has_password:
        try:
            here.sign_in.prove(name, body.current_password or "", address_of(request))
        except NotAuthenticated:
            raise Forbidden("the current_password is missing or wrong") from None
    return accounts.change(name, role=body.role, password=body.password, disabled=body.disabled)


# Tokens.


class NewToken(_Body):
    """``days`` null means that it never expires; ``user`` is oneself unless an admin says who."""

    name: ShortText
    scope: TokenScope = TokenScope.SUBMIT
    days: Annotated[float, Field(gt=0, le=3650, allow_inf_nan=False)] | None = 90
    user: UserName | None = None


class ShownToken(ApiToken):
    """``token`` is shown this once and never again."""

    token: str


class TokenList(BaseModel):
    """The newest first."""

    tokens: list[ApiToken]


@router.get("/tokens", tags=["tokens"], responses=documented(401, 403, 404, 422))
def tokens(
    here: Here,
    caller: Caller,
    user: Annotated[Text, Query(description="Whose; * for everybody's")] = "",
) -> TokenList:
    """One's own tokens, or somebody else's for admins."""
    return TokenList(tokens=here.accounts(caller).tokens(user or None))


@router.post(
    "/tokens", tags=["tokens"], status_code=201, responses=documented(400, 401, 403, 404, 413, 422)
)
def create_token(here: Here, caller: Caller, body: NewToken) -> ShownToken:
    """A token for a program. Its text is in this answer and nowhere else."""
    made, text = here.accounts(caller).create_token(body.name, body.scope, body.days, body.user)
    return ShownToken(**made.model_dump(), token=text)


@router.delete(
    "/tokens/{token_id}", tags=["tokens"], status_code=204, responses=documented(401, 403, 404, 422)
)
def revoke_token(here: Here, caller: Caller, token_id: Name) -> None:
    """End a token."""
    here.accounts(caller).revoke_token(token_id)


# Limits.


class ChangedLimit(_Body):
    """What one user, org, target or key may have: ``running`` at once, ``waiting`` at a time.
    ``*`` means each user, or each org, that has no line of its own. What is not given stays, null
    lifts a limit."""

    scope: Scope
    name: ShortText
    running: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    waiting: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None


class LimitList(BaseModel):
    """All limits."""

    limits: list[LimitView]


@router.get("/admin/limits", tags=["admin"], responses=documented(401, 403, 422))
def limits(here: Here, caller: Caller) -> LimitList:
    """What is limited; for admins."""
    return LimitList(limits=here.yard(caller).limits())


@router.put("/admin/limits", tags=["admin"], responses=documented(400, 401, 403, 413, 422))
def put_limit(here: Here, caller: Caller, body: ChangedLimit) -> LimitList:
    """Set what one may have; for admins. Answers with all limits."""
    yard = here.yard(caller)
    yard.change_limit(
        body.scope,
        body.name,
        body.model_dump(include=body.model_fields_set & {"running", "waiting"}),
    )
    return LimitList(limits=yard.limits())


# The record.


class AuditPage(BaseModel):
    """The newest first; ``next`` is the cursor of the next page."""

    entries: list[AuditEntry]
    next: str | None = None


@router.get("/audit", tags=["admin"], responses=documented(401, 403, 422))
def audit(
    here: Here,
    caller: Caller,
    actor: Text | None = None,
    action: Text | None = None,
    limit: Limit = 100,
    cursor: Cursor | None = None,
) -> AuditPage:
    """Who changed what, and from where; for admins."""
    before = None if cursor is None else int(cursor)
    found = here.accounts(caller).audit(actor=actor, action=action, limit=limit + 1, before=before)
    shown = found[:limit]
    return AuditPage(entries=shown, next=str(shown[-1].seq) if len(found) > limit else None)
