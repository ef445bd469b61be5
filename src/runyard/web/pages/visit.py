"""Who looks at a page, and whether a form comes from one of ours.

The cookie that a browser keeps is sent with whatever another site has it ask, so it is good for
looking only. A form says besides the mark of its session, which no other site can know.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Form, Request, Response

from runyard.domain.user import Actor
from runyard.errors import Forbidden, NotAuthenticated
from runyard.service.signin import SESSION_SECONDS, SignedIn
from runyard.web.callers import COOKIE, address_of, place_of
from runyard.web.place import Place

STALE = "this form is not of your session any more: go back, load the page again, and repeat it"


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who looks at a page; ``mark`` goes into its forms."""

    request: Request
    place: Place
    actor: Actor
    session_id: str
    mark: str


def visitor(request: Request) -> Visit:
    """Who looks. Raises ``NotAuthenticated``."""
    cookie = request.cookies.get(COOKIE)
    if not cookie:
        raise NotAuthenticated("sign in first")
    place = place_of(request)
    actor, session_id = place.sign_in.cookie(cookie, address_of(request))
    return Visit(request, place, actor, session_id, place.sign_in.signer.mark(session_id))


def _poster(request: Request, mark: Annotated[str, Form(max_length=200)] = "") -> Visit:
    """Who sent a form of one of our pages. Raises ``Forbidden`` for a form of another site."""
    require_same_origin(request)
    visit = visitor(request)
    if not hmac.compare_digest(mark.encode(), visit.mark.encode()):
        raise Forbidden(STALE)
    return visit


Visitor = Annotated[Visit, Depends(visitor)]
Poster = Annotated[Visit, Depends(_poster)]


def require_same_origin(request: Request) -> None:
    """Raises ``Forbidden`` if the browser says that another site made it ask."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        is_ours = site in ("same-origin", "none")
    else:
        origin = request.headers.get("origin")
        is_ours = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    if not is_ours:
        raise Forbidden("this form was sent from another site")


def local_path(path: str) -> str:
    """A place of ours to go on to; the first page for anything that might lead elsewhere."""
    is_plain = path.isascii() and path.isprintable() and "\\" not in path
    is_ours = path.startswith("/") and not path.startswith("//")
    return path if is_plain and is_ours else "/"


def keep_session(request: Request, response: Response, done: SignedIn) -> None:
    """Have the browser remember who it is."""
    response.set_cookie(
        COOKIE,
        done.refresh_token,
        max_age=int(SESSION_SECONDS),
        httponly=True,
        samesite="lax",
        secure=_is_secure(request),
        path="/",
    )


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, perhaps with a proxy before us. Whoever makes the header up
    only keeps their own cookie from being sent."""
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))


def forget_session(response: Response) -> None:
    """Have the browser forget it."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
