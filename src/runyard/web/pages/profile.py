"""What somebody may change about themselves: their password and their tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response

from runyard.domain.user import TokenScope
from runyard.errors import InvalidRequest, LimitReached, NotAuthenticated
from runyard.web.callers import address_of
from runyard.web.faults import status_of
from runyard.web.pages import render
from runyard.web.pages.visit import Poster, Visit, Visitor, keep_session
from runyard.web.passwords import hashes

router = APIRouter(prefix="/profile")

DAYS: dict[str, float | None] = {"7": 7.0, "30": 30.0, "90": 90.0, "365": 365.0, "never": None}

Short = Annotated[str, Form(max_length=300)]
Password = Annotated[str, Form(max_length=2000)]


@router.get("")
def profile(visit: Visitor) -> Response:
    """Who somebody is, and what they sign in with."""
    return _profile(visit)


def _profile(visit: Visit, status: int = 200, **values: object) -> Response:
    accounts = visit.place.accounts(visit.actor)
    return render.page(
        visit,
        "profile.html",
        status,
        user=accounts.get(visit.actor.name),
        tokens=accounts.tokens(),
        scopes=list(TokenScope),
        days=list(DAYS),
        **{"fault": "", "fault_of": "", "secret": "", **values},
    )


@router.post("/password")
@hashes
def password(
    visit: Poster, request: Request, current: Password = "", wanted: Password = ""
) -> Response:
    """Another password. Who sits at somebody's open browser must know the old one; all sessions
    end, and this one begins anew."""
    name, address = visit.actor.name, address_of(request)
    accounts, sign_in = visit.place.accounts(visit.actor), visit.place.sign_in
    try:
        if accounts.get(name).has_password:
            sign_in.prove(name, current, address)
        accounts.set_password(name, wanted)
    except NotAuthenticated:
        return _profile(visit, 400, fault="the present password is wrong", fault_of="password")
    except (InvalidRequest, LimitReached) as error:
        return _profile(visit, status_of(error), fault=str(error), fault_of="password")
    response = render.see("/profile", "password")
    keep_session(request, response, sign_in.by_password(name, wanted, address))
    return response


@router.post("/tokens")
def create_token(
    visit: Poster,
    name: Short = "",
    scope: Annotated[TokenScope, Form()] = TokenScope.SUBMIT,
    days: Annotated[Literal["7", "30", "90", "365", "never"], Form()] = "90",
) -> Response:
    """A token for a program: its text is in this answer, and nowhere else."""
    accounts = visit.place.accounts(visit.actor)
    try:
        _, secret = accounts.create_token(name.strip(), scope, DAYS[days])
    except InvalidRequest as error:
        return _profile(visit, status_of(error), fault=str(error), fault_of="token")
    return _profile(visit, secret=secret)


@router.post("/tokens/revoke")
def revoke(visit: Poster, token: Short) -> Response:
    """End one of one's own tokens."""
    visit.place.accounts(visit.actor).revoke_token(token)
    return render.see("/profile", "revoked")
