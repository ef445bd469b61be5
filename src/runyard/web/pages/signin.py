"""Sign in, by a password or a link, and out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from runyard.errors import LimitReached, NotAuthenticated
from runyard.service.signin import SignedIn
from runyard.web.callers import COOKIE, Here, address_of
from runyard.web.faults import headers_of, status_of
from runyard.web.pages import render
from runyard.web.pages.visit import (
    Poster,
    forget_session,
    keep_session,
    local_path,
    require_same_origin,
    visitor,
)
from runyard.web.params import NO_NUL
from runyard.web.passwords import hashes

router = APIRouter()

Name = Annotated[str, Form(max_length=300, pattern=NO_NUL)]
Password = Annotated[str, Form(max_length=2000)]
Link = Annotated[str, Form(max_length=300)]
Next = Annotated[str, Form(max_length=2000)]


@router.get("/login")
def form(request: Request, here: Here, link: str = "", next: str = "/") -> Response:  # noqa: A002
    """The form; or, with a link's secret, a button that uses it. Looking does not: programs that
    show what is behind an address look before anybody does."""
    if link:
        try:
            user = here.sign_in.holder_of(link)
        except NotAuthenticated as error:
            return _form(request, str(error), "", next, status_of(error))
        return render.html(request, "link.html", secret=link, name=user.name, next=local_path(next))
    if COOKIE in request.cookies:
        try:
            visitor(request)
        except NotAuthenticated:
            pass
        else:
            return RedirectResponse(local_path(next), 303)
    return _form(request, "", "", next)


@router.post("/login")
@hashes
def sign_in(
    request: Request,
    here: Here,
    name: Name = "",
    password: Password = "",
    next: Next = "/",  # noqa: A002 - as it is called in addresses
) -> Response:
    """By name and password."""
    require_same_origin(request)
    try:
        done = here.sign_in.by_password(name, password, address_of(request))
    except (NotAuthenticated, LimitReached) as error:
        return _form(request, str(error), name, next, status_of(error), headers_of(error))
    return _welcome(request, done, next)


@router.post("/login/link")
def sign_in_by_link(
    request: Request,
    here: Here,
    link: Link = "",
    next: Next = "/",  # noqa: A002
) -> Response:
    """By a link's secret, which is good once."""
    require_same_origin(request)
    try:
        done = here.sign_in.by_link(link, address_of(request))
    except (NotAuthenticated, LimitReached) as error:
        return _form(request, str(error), "", next, status_of(error), headers_of(error))
    return _welcome(request, done, next)


@router.post("/logout")
def sign_out(visit: Poster) -> Response:
    """The session ends, here and wherever its cookie may be."""
    visit.place.sign_in.sign_out(visit.session_id, visit.actor)
    response = RedirectResponse("/login", 303)
    forget_session(response)
    return response


def _welcome(request: Request, done: SignedIn, path: str) -> Response:
    response = RedirectResponse(local_path(path), 303)
    keep_session(request, response, done)
    return response


def _form(
    request: Request,
    fault: str,
    name: str,
    path: str,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response:
    wanted = local_path(path)
    response = render.html(request, "login.html", status, fault=fault, name=name, next=wanted)
    # A browser would ask for credentials of its own kind.
    response.headers.update({k: v for k, v in (headers or {}).items() if k == "Retry-After"})
    return response
