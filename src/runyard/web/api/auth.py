"""Sign in and out; who am I."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel

from runyard.domain.user import Role, TokenScope
from runyard.errors import InvalidRequest
from runyard.web.callers import Caller, Here, address_of, caller_of
from runyard.web.faults import documented
from runyard.web.live import in_thread
from runyard.web.params import NO_NUL
from runyard.web.passwords import hashing

router = APIRouter(prefix="/auth", tags=["auth"])


class Tokens(BaseModel):
    """``refresh_token`` renews the session once; ``expires_in`` is in seconds."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"
    expires_in: float


class Me(BaseModel):
    """Who asks, and what they may do."""

    name: str
    role: Role
    org_id: str
    scope: TokenScope


@router.post("/token", responses=documented(400, 401, 413, 422, 429))
async def token(
    request: Request,
    here: Here,
    response: Response,
    grant_type: Annotated[str, Form()] = "password",
    username: Annotated[str, Form(max_length=300, pattern=NO_NUL)] = "",
    password: Annotated[str, Form(max_length=2000)] = "",
    refresh_token: Annotated[str, Form(max_length=300, pattern=NO_NUL)] = "",
) -> Tokens:
    """OAuth2: the password grant, and ``refresh_token`` for another pair of tokens."""
    address = address_of(request)
    if grant_type == "password":
        if not username:
            raise InvalidRequest("send username and password as a form, not as JSON")
        done = await hashing(request, here.sign_in.by_password, username, password, address)
    elif grant_type == "refresh_token":
        done = await in_thread(here.sign_in.renew, refresh_token, address)
    else:
        raise InvalidRequest("the grant_type is password or refresh_token")
    response.headers["Cache-Control"] = "no-store"
    return Tokens(
        access_token=done.access_token,
        refresh_token=done.refresh_token,
        expires_in=done.expires_in,
    )


@router.post("/revoke", status_code=204, responses=documented(401, 403))
def revoke(request: Request, here: Here, caller: Caller) -> None:
    """Sign out: the session of this token ends."""
    _, session = caller_of(request)
    if session is not None:
        here.sign_in.sign_out(session, caller)


@router.get("/me", responses=documented(401))
def me(caller: Caller) -> Me:
    """Who asks."""
    return Me(name=caller.name, role=caller.role, org_id=caller.org_id, scope=caller.scope)
