"""Errors as answers: one table from the classes of ``runyard.errors`` to HTTP."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from runyard import errors

log = logging.getLogger("runyard")


class Fault(BaseModel):
    """What went wrong, as one sentence."""

    detail: str


class Place(BaseModel):
    """Where in a request a fault is, and what it is."""

    loc: list[str | int]
    msg: str
    type: str


class Unprocessable(BaseModel):
    """What of a request does not have the right form."""

    detail: list[Place] = Field(default_factory=list)


# The first class that fits counts.
STATUS: dict[type[errors.RunyardError], int] = {
    errors.NotAuthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.LimitReached: 429,
    errors.InvalidRequest: 400,
    errors.WaitTimeout: 408,
    errors.StoreError: 503,
    errors.HomeUnusable: 503,
    errors.RunyardError: 500,
}
MEANING = {
    400: "The request makes no sense",
    401: "Nobody knows who asks",
    403: "Whoever asks may not",
    404: "There is no such thing, or not for whoever asks",
    408: "It took too long",
    409: "Things are not in a state that allows this",
    413: "The request is too large",
    416: "There is no such part",
    422: "The request does not have the right form",
    429: "A quota is used up, too much is under way, or there were too many tries",
    503: "The database cannot be reached, or cannot save",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These faults, for the OpenAPI document of an endpoint. What may be too large may also be one
    of too many that are."""
    found = {*statuses, 503} | ({429} if 413 in statuses else set())
    return {
        status: {"model": Unprocessable if status == 422 else Fault, "description": MEANING[status]}
        for status in sorted(found)
    }


def status_of(error: errors.RunyardError) -> int:
    """The HTTP status of an error."""
    return next(status for kind, status in STATUS.items() if isinstance(error, kind))


def said(error: errors.RunyardError) -> str:
    """An error in words for whoever asked. Where the database is, and what it said, is for
    whoever runs the server: it stands in the log."""
    if not isinstance(error, errors.StoreError | errors.HomeUnusable):
        return str(error)
    log.warning("%s", error)
    return next(text for kind, text in _TROUBLE.items() if isinstance(error, kind))


_TROUBLE: dict[type[errors.RunyardError], str] = {
    errors.StoreBusy: "the database is busy or cannot be reached: try again",
    errors.StoreFull: "the database has no space left",
    errors.StoreReadOnly: "the database may not be written",
    errors.StoreCorrupt: "the database is damaged",
    errors.OutcomeUnknown: "the database went away, and may have saved it or not: look first",
    errors.RunyardError: "the database refused",
}


def headers_of(error: errors.RunyardError) -> dict[str, str]:
    """What else an answer with this error says."""
    if isinstance(error, errors.NotAuthenticated):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.LimitReached) and error.retry_after is not None:
        return {"Retry-After": str(math.ceil(error.retry_after))}
    return {}


def install(app: FastAPI) -> None:
    """Answer errors of an application so."""
    app.add_exception_handler(errors.RunyardError, answer)
    app.add_exception_handler(RequestValidationError, unprocessable)


def answer(request: Request, error: Exception) -> JSONResponse:
    """An expected error as JSON."""
    assert isinstance(error, errors.RunyardError)
    return JSONResponse({"detail": said(error)}, status_of(error), headers_of(error))


def unprocessable(request: Request, error: Exception) -> JSONResponse:
    """Without what was sent: it may be a secret, huge, or nothing that JSON can hold."""
    assert isinstance(error, RequestValidationError)
    places = [
        {"loc": _place(fault["loc"]), "msg": _sentence(fault), "type": fault["type"]}
        for fault in error.errors()
    ]
    return JSONResponse({"detail": places[:20]}, 422)


def _sentence(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "json_invalid":
        return f"the body is no JSON: {fault['ctx']['error']}"
    return str(fault["msg"]).removeprefix("Value error, ")


def _place(loc: Sequence[str | int]) -> list[str | int]:
    """As whoever asked sees it: without which of its forms a body was taken for."""
    return [*loc[:1], *loc[2:]] if tuple(loc[:2]) in _FORMS else list(loc)


_FORMS = {("body", "one"), ("body", "many")}
