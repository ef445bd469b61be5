"""Users, tokens, limits and the audit over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from runyard.domain.job import ShortText
from runyard.domain.listing import AuditFilter, LimitFilter, TokenFilter, UserFilter, place_of
from runyard.domain.user import ApiToken, AuditEntry, Role, TokenScope, User, UserName
from runyard.domain.yard import LimitView
from runyard.errors import Forbidden, NotAuthenticated
from runyard.policy.fits import Scope
from runyard.web.bodies import Route
from runyard.web.callers import Caller, Here, address_of
from runyard.web.faults import documented
from runyard.web.paging import instant_of, page_of, pair_of
from runyard.web.params import After, At, Cursor, Limit, Name, PartOfName, Text, posix
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


@router.get("/users", tags=["users"], responses=documented(401, 403, 404, 422))
def users(
    here: Here,
    caller: Caller,
    role: Role | None = None,
    org_id: Text | None = None,
    q: PartOfName = "",
    limit: Limit = 100,
    cursor: After | None = None,
) -> UserPage:
    """Users, by name; for admins."""
    after = "" if cursor is None else place_of(cursor, 1)[0]
    found = here.accounts(caller).page(after, limit + 1, UserFilter(role, org_id, q))
    shown, more = page_of(found, limit, lambda user: (user.name,))
    return UserPage(users=shown, next=more)


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
            raise Forbidden("the current password is missing or wrong") from None
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


class TokenPage(BaseModel):
    """The newest first; ``next`` is the cursor of the next page."""

    tokens: list[ApiToken]
    next: str | None = None


@router.get("/tokens", tags=["tokens"], responses=documented(401, 403, 404, 422))
def tokens(
    here: Here,
    caller: Caller,
    user: Annotated[Text, Query(description="Whose; * for everybody's")] = "",
    scope: TokenScope | None = None,
    q: PartOfName = "",
    limit: Limit = 100,
    cursor: After | None = None,
) -> TokenPage:
    """One's own tokens, or somebody else's for admins."""
    after = None if cursor is None else instant_of(cursor)
    accounts, wanted = here.accounts(caller), TokenFilter(scope, q)
    found = accounts.token_page(user or None, wanted, limit + 1, after)
    shown, more = page_of(found, limit, lambda token: (repr(token.created_at), token.id))
    return TokenPage(tokens=shown, next=more)


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


class LimitPage(BaseModel):
    """Limits by scope and name; ``next`` is the cursor of the next page."""

    limits: list[LimitView]
    next: str | None = None


@router.get("/admin/limits", tags=["admin"], responses=documented(401, 403, 404, 422))
def limits(
    here: Here,
    caller: Caller,
    scope: Scope | None = None,
    name: Text | None = None,
    limit: Limit = 100,
    cursor: After | None = None,
) -> LimitPage:
    """What is limited; for admins."""
    after = None if cursor is None else pair_of(cursor)
    found = here.yard(caller).limit_page(LimitFilter(scope, name), limit + 1, after)
    shown, more = page_of(found, limit, lambda one: (one.scope, one.name))
    return LimitPage(limits=shown, next=more)


@router.put("/admin/limits", tags=["admin"], responses=documented(400, 401, 403, 413, 422))
def put_limit(here: Here, caller: Caller, body: ChangedLimit) -> LimitPage:
    """Set what one may have; for admins. Answers with what is limited of it."""
    yard = here.yard(caller)
    yard.change_limit(
        body.scope,
        body.name,
        body.model_dump(include=body.model_fields_set & {"running", "waiting"}),
    )
    return LimitPage(limits=yard.limit_page(LimitFilter(body.scope, body.name)))


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
    subject: Annotated[Text | None, Query(description="What was changed")] = None,
    since: At | None = None,
    until: At | None = None,
    limit: Limit = 100,
    cursor: Cursor | None = None,
) -> AuditPage:
    """Who changed what, and from where; for admins."""
    before = None if cursor is None else int(cursor)
    wanted = AuditFilter(actor, action, subject, posix(since), posix(until))
    found = here.accounts(caller).audit(wanted, limit + 1, before)
    shown, more = page_of(found, limit, lambda entry: (str(entry.seq),))
    return AuditPage(entries=shown, next=more)
