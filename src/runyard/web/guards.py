"""What holds for every request: how large it may be, and what browsers may do with the answer."""

from __future__ import annotations

import json

from fastapi import FastAPI, HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runyard.errors import RunyardError
from runyard.web import faults
from runyard.web.callers import sender_of
from runyard.web.live import in_thread

MOST_BYTES = 1 << 20  # of one request
MOST_OF_JOBS = 32 << 20  # of one that submits jobs, of which there may be thousands
FOR_JOBS = frozenset({"/api/v1/jobs", "/api/v1/job-batches"})
# Of one by nobody in particular: what is larger is read, and taken apart, for those only whom we
# know.
MOST_OF_NOBODY = 64 << 10

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]


class TooLarge(HTTPException):
    """More came than may. Of this kind, so that whoever reads the request lets it through."""

    def __init__(self, most: int) -> None:
        close = {"Connection": "close"}  # else the rest of it would have to be read
        super().__init__(413, _said(most), close)


def install(app: FastAPI) -> None:
    """Guard an application."""
    app.add_middleware(Guard)


class Guard:
    """Bounds what comes in, and adds headers to what goes out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS, *_storing(message["headers"])]
            await send(message)

        most = MOST_OF_JOBS if scope["path"] in FOR_JOBS else MOST_BYTES
        if _announced(scope) > most:
            await _refuse(sending, most)
            return
        await self._app(scope, _bounded(scope, receive, most), sending)


def _storing(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Nobody keeps a copy of an answer, unless it says otherwise itself."""
    if any(name == b"cache-control" for name, _ in headers):
        return []
    return [(b"cache-control", b"no-store")]


def _announced(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


def _bounded(scope: Scope, receive: Receive, most: int) -> Receive:
    came = 0
    is_known = False

    async def receiving() -> Message:
        nonlocal came, is_known
        message = await receive()
        came += len(message.get("body", b""))
        if came > most:
            raise TooLarge(most)
        if came > MOST_OF_NOBODY and not is_known:
            await _require_known(scope)
            is_known = True
        return message

    return receiving


async def _require_known(scope: Scope) -> None:
    try:
        await in_thread(sender_of, Request(scope))
    except RunyardError as error:
        raise HTTPException(
            faults.status_of(error),
            faults.said(error),
            {**faults.headers_of(error), "Connection": "close"},
        ) from None


def _said(most: int) -> str:
    return f"the request is larger than {most >> 20} MiB"


async def _refuse(send: Send, most: int) -> None:
    body = json.dumps({"detail": _said(most)}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
