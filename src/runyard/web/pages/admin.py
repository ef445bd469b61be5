"""What admins look after: users, everybody's tokens, limits, the audit."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Query, Request, Response

from runyard.domain.ids import is_batch_id
from runyard.domain.listing import AuditFilter, LimitFilter, TokenFilter, UserFilter
from runyard.domain.user import ApiToken, AuditEntry, Role, TokenScope
from runyard.errors import Conflict, InvalidRequest, NotFound
from runyard.policy.fits import LIMITABLE, Scope
from runyard.web.faults import status_of
from runyard.web.pages import render
from runyard.web.pages.narrowing import ORG, Field, Narrowed, Q, chosen, instant
from runyard.web.pages.visit import Poster, Visit, Visitor
from runyard.web.paging import instant_of, page_of, pair_of
from runyard.web.params import After, Cursor, Text
from runyard.web.passwords import hashes

router = APIRouter(prefix="/admin")

LONG = 50
MOST = 2**31 - 1
OF_JOBS = frozenset({"submit", "cancel", "retry", "force-complete", "priority"})

ROLE = Field("role", "Role", options=tuple(Role))
USER = Field("user", "Of user")
SCOPE = Field("scope", "May", options=tuple(TokenScope))
OF_LIMIT = (Field("name", "Name", "its whole name"), Field("scope", "Of a", options=LIMITABLE))
ACTOR = Field("actor", "Who", "who did it")
OF_AUDIT = (
    Field("action", "Action", "sign_in.failed"),
    Field("subject", "To what", "its id or name"),
    Field("since", "Since (UTC)", kind="datetime-local"),
    Field("until", "Until (UTC)", kind="datetime-local"),
)
Short = Annotated[str, Form(max_length=300)]
Password = Annotated[str, Form(max_length=2000)]


# Users.


@router.get("/users")
def users(
    visit: Visitor, role: str = "", org_id: Text = "", q: Text = "", cursor: Text = ""
) -> Response:
    """The users that fit, by name."""
    known = Role(role) if role in set(Role) else None
    return _users(visit, cursor, wanted=UserFilter(known, chosen(org_id), q.strip()))


def _users(
    visit: Visit,
    cursor: str = "",
    status: int = 200,
    wanted: UserFilter | None = None,
    **values: object,
) -> Response:
    found = visit.place.accounts(visit.actor).page(cursor, LONG + 1, wanted)
    return render.page(
        visit,
        "users.html",
        status,
        users=found[:LONG],
        next=found[LONG - 1].name if len(found) > LONG else None,
        cursor=cursor,
        by=Narrowed.of(visit.request, Q, ROLE, ORG, path="/admin/users"),
        roles=list(Role),
        **{"fault": "", "login": "", "whose": "", "values": {}, **values},
    )


@router.post("/users")
@hashes
def add_user(
    request: Request,
    visit: Poster,
    name: Short = "",
    role: Role = Role.MEMBER,
    org: Short = "default",
    password: Password = "",
) -> Response:
    """A new user; without a password, one who signs in by links and tokens."""
    try:
        visit.place.accounts(visit.actor).add(name.strip(), role, org.strip(), password or None)
    except (InvalidRequest, Conflict) as error:
        values = {"name": name, "role": role, "org": org}
        return _users(visit, "", status_of(error), fault=str(error), values=values)
    return render.see("/admin/users", "added")


@router.post("/users/role")
def set_role(visit: Poster, name: Short, role: Annotated[Role, Form()]) -> Response:
    """Let somebody do more, or less."""
    visit.place.accounts(visit.actor).set_role(name, role)
    return render.see("/admin/users", "changed")


@router.post("/users/disable")
def disable(visit: Poster, name: Short) -> Response:
    """Let somebody in no more."""
    visit.place.accounts(visit.actor).disable(name)
    return render.see("/admin/users", "changed")


@router.post("/users/enable")
def enable(visit: Poster, name: Short) -> Response:
    """Let somebody in again."""
    visit.place.accounts(visit.actor).enable(name)
    return render.see("/admin/users", "changed")


@router.post("/users/password")
@hashes
def set_password(request: Request, visit: Poster, name: Short, password: Password = "") -> Response:
    """Give somebody another password."""
    try:
        visit.place.accounts(visit.actor).set_password(name, password)
    except InvalidRequest as error:
        return _users(visit, "", status_of(error), fault=str(error))
    return render.see("/admin/users", "changed")


@router.post("/users/link")
def link(visit: Poster, request: Request, name: Short) -> Response:
    """A link that signs somebody in once: shown in this answer, and nowhere else."""
    secret = visit.place.accounts(visit.actor).login_link(name)
    return _users(visit, login=f"{request.base_url}login?link={secret}", whose=name)


# Tokens.


@router.get("/tokens")
def tokens(
    visit: Visitor, q: Text = "", user: Text = "", scope: str = "", cursor: After | None = None
) -> Response:
    """Everybody's that fit, the newest first."""
    known = TokenScope(scope) if scope in set(TokenScope) else None
    wanted, after = TokenFilter(known, q.strip()), None if cursor is None else instant_of(cursor)
    found: list[ApiToken] = []
    with suppress(NotFound):  # of whose tokens are asked for
        accounts = visit.place.accounts(visit.actor)
        found = accounts.token_page(chosen(user) or "*", wanted, LONG + 1, after)
    shown, more = page_of(found, LONG, lambda token: (repr(token.created_at), token.id))
    by = Narrowed.of(visit.request, Q, USER, SCOPE)
    return render.page(
        visit,
        "tokens.html",
        tokens=shown,
        next=more,
        cursor=cursor,
        scopes=list(TokenScope),
        by=by,
    )


@router.post("/tokens/revoke")
def revoke(visit: Poster, token: Short) -> Response:
    """End a token."""
    visit.place.accounts(visit.actor).revoke_token(token)
    return render.see("/admin/tokens", "revoked")


# Limits.


@router.get("/limits")
def limits(
    visit: Visitor, scope: str = "", name: Text = "", cursor: After | None = None
) -> Response:
    """What may run at once and wait at a time, of what fits."""
    known = scope if scope in set(Scope) else None
    return _limits(visit, cursor, wanted=LimitFilter(known, chosen(name)))


def _limits(
    visit: Visit,
    cursor: str | None = None,
    status: int = 200,
    wanted: LimitFilter | None = None,
    **values: object,
) -> Response:
    after = None if cursor is None else pair_of(cursor)
    found = visit.place.yard(visit.actor).limit_page(wanted or LimitFilter(), LONG + 1, after)
    shown, more = page_of(found, LONG, lambda one: (one.scope, one.name))
    return render.page(
        visit,
        "limits.html",
        status,
        limits=shown,
        next=more,
        cursor=cursor,
        by=Narrowed.of(visit.request, *OF_LIMIT, path="/admin/limits"),
        scopes=LIMITABLE,
        **{"fault": "", "values": {}, **values},
    )


@router.post("/limits")
def put_limit(
    visit: Poster,
    scope: Annotated[Literal["user", "org", "target", "key"], Form()] = "user",
    name: Short = "",
    kind: Annotated[Literal["running", "waiting"], Form()] = "running",
    most: Short = "",
) -> Response:
    """Set a limit; an empty one lifts it."""
    yard = visit.place.yard(visit.actor)
    visit.actor.require_admin()
    try:
        number = _number(most)
        yard.change_limit(Scope(scope), name.strip(), {kind: number})
    except InvalidRequest as error:
        values = {"scope": scope, "name": name, "kind": kind, "most": most}
        return _limits(visit, None, status_of(error), fault=str(error), values=values)
    return render.see("/admin/limits", "lifted" if number is None else "limit")


def _number(text: str) -> int | None:
    if not text.strip():
        return None
    if not (text.strip().isascii() and text.strip().isdigit() and int(text[:20]) <= MOST):
        raise InvalidRequest(f"a limit is a whole number, or nothing: not {text[:40]!r}")
    return int(text)


# The record.


@router.get("/audit")
def audit(
    visit: Visitor,
    actor: Text = "",
    action: Text = "",
    subject: Text = "",
    since: Text = "",
    until: Text = "",
    cursor: Annotated[Cursor | None, Query()] = None,
) -> Response:
    """Who changed what, and from where."""
    wanted = AuditFilter(
        chosen(actor),
        chosen(action),
        chosen(subject),
        instant("since", since),
        instant("until", until),
    )
    before = int(cursor) if cursor else None
    found = visit.place.accounts(visit.actor).audit(wanted, limit=LONG + 1, before=before)
    return render.page(
        visit,
        "audit.html",
        entries=found[:LONG],
        next=str(found[LONG - 1].seq) if len(found) > LONG else None,
        cursor=cursor,
        subject=_place_of,
        by=Narrowed.of(visit.request, ACTOR, *OF_AUDIT),
    )


def _place_of(entry: AuditEntry) -> str | None:
    """Where what was changed can be looked at, if it has a page."""
    subject = entry.subject
    if entry.action in OF_JOBS and " " not in subject:
        return f"/{'batches' if is_batch_id(subject) else 'jobs'}/{subject}"
    if entry.action == "template.save":
        org, _, name = subject.partition("/")
        return f"/templates/{quote(name)}?{urlencode({'org': org})}"
    return None
