"""Who a request is from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, OAuth2PasswordBearer

from runyard.domain.user import Actor
from runyard.errors import Forbidden, NotAuthenticated, RunyardError
from runyard.web.place import Place

COOKIE = "runyard_session"
SAFE_METHODS = frozenset({"GET", "HEAD"})

# For the OpenAPI document only: what a request carries is read below.
_password = OAuth2PasswordBearer("/api/v1/auth/token", auto_error=False)
_bearer = HTTPBearer(auto_error=False, description="A signed token, or an API token")


def place_of(request: Request) -> Place:
    """What the application works on."""
    place = request.app.state.place
    assert isinstance(place, Place)
    return place


def address_of(request: Request) -> str:
    """Where a request came from."""
    return request.client.host if request.client else "unknown"


def caller_of(request: Request) -> tuple[Actor, str | None]:
    """Who asks, and in which session. A browser's cookie is good for looking only: it is sent with
    whatever another site has the browser ask."""
    if _is_by_cookie(request) and request.method not in SAFE_METHODS:
        raise Forbidden("changes need an Authorization header, not only a cookie")
    return sender_of(request)


def sender_of(request: Request) -> tuple[Actor, str | None]:
    """Whose browser or program sent a request, which does not say that they wanted it. Raises
    ``NotAuthenticated``."""
    place = place_of(request)
    address = address_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return place.sign_in.bearer(token.strip(), address)
    if cookie := request.cookies.get(COOKIE):
        return place.sign_in.cookie(cookie, address)
    raise NotAuthenticated("say who you are: Authorization: Bearer TOKEN")


def _is_by_cookie(request: Request) -> bool:
    scheme = request.headers.get("authorization", "").partition(" ")[0]
    return scheme.lower() != "bearer" and bool(request.cookies.get(COOKIE))


def pass_of(request: Request) -> Callable[[], bool]:
    """A question to be asked from time to time while something long is answered: whether who asked
    may still see the same. A signed token that has run out meanwhile does not matter, but that its
    session has ended does."""
    place, address = place_of(request), address_of(request)
    caller, session = caller_of(request)

    def is_valid() -> bool:
        try:
            if session is None:
                return caller_of(request)[0].sees == caller.sees
            return place.sign_in.of_session(session, address).sees == caller.sees
        except NotAuthenticated:
            return False
        except RunyardError:
            return True  # the database is away: there is nothing to be seen either

    return is_valid


def _actor(
    request: Request,
    password: Annotated[str | None, Depends(_password)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Actor:
    return caller_of(request)[0]


async def _here(request: Request) -> Place:
    """Not a plain function, for which FastAPI would take a thread."""
    return place_of(request)


Caller = Annotated[Actor, Depends(_actor)]
Here = Annotated[Place, Depends(_here)]
