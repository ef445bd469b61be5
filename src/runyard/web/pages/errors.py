"""Errors as pages, for those who look at pages; programs get JSON as ever."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from runyard.errors import NotAuthenticated, RunyardError
from runyard.web import faults, guards
from runyard.web.callers import COOKIE, SAFE_METHODS
from runyard.web.pages import render
from runyard.web.pages.visit import Visit, local_path, visitor
from runyard.web.pages.words import capitalize_first

OF_PROGRAMS = ("/api/", "/openapi.json", "/debug/")
HEADINGS = {
    400: "That does not make sense",
    403: "You may not do this",
    404: "There is nothing here",
    405: "That cannot be done here",
    409: "That is not possible now",
    413: "That is too large",
    422: "Something in the address or the form is wrong",
    429: "Too much",
    500: "Something went wrong here",
    503: "The database cannot be reached",
}


def install(app: FastAPI) -> None:
    """Answer errors of pages with pages."""
    app.add_exception_handler(RunyardError, _expected)
    app.add_exception_handler(RequestValidationError, _unprocessable)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def is_for_program(request: Request) -> bool:
    """Whether what asks reads JSON rather than pages."""
    return request.url.path.startswith(OF_PROGRAMS)


def _expected(request: Request, error: Exception) -> Response:
    assert isinstance(error, RunyardError)
    if is_for_program(request):
        return faults.answer(request, error)
    if isinstance(error, NotAuthenticated):
        return _to_sign_in(request)
    return _page(request, faults.status_of(error), faults.said(error), faults.headers_of(error))


def _to_sign_in(request: Request) -> Response:
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = path if request.method in SAFE_METHODS and path != "/" else ""
    response = RedirectResponse(f"/login?next={quote(wanted)}" if wanted else "/login", 303)
    response.delete_cookie(COOKIE, path="/")
    return response


def _unprocessable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if is_for_program(request):
        return faults.unprocessable(request, error)
    places = [f"{'.'.join(map(str, f['loc'][1:]))}: {f['msg']}" for f in error.errors()[:5]]
    return _page(request, 422, "; ".join(places))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if is_for_program(request):
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)
    known = HTTPStatus(error.status_code).phrase
    text = "" if error.detail == known else str(error.detail)
    return _page(request, error.status_code, text, error.headers)


def _unexpected(request: Request, error: Exception) -> Response:
    """Whoever operates the server finds the rest in its log. This answer goes around the guard,
    and is the connection's last: the server ends it when it hears of the error."""
    headers = {name.decode(): value.decode() for name, value in guards.HEADERS}
    headers["connection"] = "close"
    if is_for_program(request):
        return JSONResponse({"detail": "something went wrong here"}, 500, headers)
    return _page(request, 500, "Nothing of it is your fault. The server's log tells more.", headers)


def _page(
    request: Request, status: int, text: str, headers: Mapping[str, str] | None = None
) -> Response:
    heading = HEADINGS.get(status, "That did not work")
    visit = _who(request) if status < 500 else None
    answer = render.html(
        request,
        "error.html",
        status,
        visit=visit,
        actor=visit.actor if visit else None,
        heading=heading,
        text=capitalize_first(text),
        code=status,
        back=_back(request),
    )
    answer.headers.update(headers or {})
    return answer


def _who(request: Request) -> Visit | None:
    try:
        return visitor(request)
    except RunyardError:
        return None


def _back(request: Request) -> str:
    """The page that led here, if it is one of ours."""
    came = urlsplit(request.headers.get("referer", ""))
    if came.netloc != request.headers.get("host"):
        return "/"
    return local_path(came.path + (f"?{came.query}" if came.query else ""))
