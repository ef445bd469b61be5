"""What holds for every request: how large it may be, and what browsers may do with the answer."""

from __future__ import annotations

import json

from fastapi import FastAPI, HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runyard.errors import RunyardError
from runyard.web import faults
from runyard.web.callers import sender_of
from runyard.web.crowds import Crowd, Share
from runyard.web.live import in_thread

MOST_BYTES = 1 << 20  # of one request
MOST_OF_JOBS = 32 << 20  # of one that submits jobs, of which there may be thousands
FOR_JOBS = frozenset({"/api/v1/jobs", "/api/v1/job-batches"})
# Of one by nobody in particular: what is larger is read, and taken apart, for those only whom we
# know.
MOST_OF_NOBODY = 64 << 10
# Of what is larger, at once: while it comes, and until it is answered.
IN_FLIGHT_OF_ONE = 64 << 20
IN_FLIGHT = 256 << 20
SEND_AGAIN_SECONDS = 2.0

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


def long_bodies() -> Crowd:
    """How much of what is large may be in flight."""
    return Crowd("MiB of long requests", IN_FLIGHT_OF_ONE, IN_FLIGHT, SEND_AGAIN_SECONDS, 1 << 20)


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
        intake = _Intake(scope, receive, most)
        try:
            await self._app(scope, intake.receive, sending)
        finally:
            intake.end()


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


class _Intake:
    """What comes of one request, and whom it is from once it is much."""

    def __init__(self, scope: Scope, receive: Receive, most: int) -> None:
        self._scope = scope
        self._receive = receive
        self._most = most
        self._came = 0
        self._share: Share | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        self._came += len(message.get("body", b""))
        if self._came > self._most:
            raise TooLarge(self._most)
        if self._came > MOST_OF_NOBODY:
            try:
                if self._share is None:
                    self._share = await self._of_somebody()
                self._share.raise_to(
                    self._came
                )  # not what was announced, which costs nobody anything
            except RunyardError as error:
                headers = {**faults.headers_of(error), "Connection": "close"}
                raise HTTPException(faults.status_of(error), faults.said(error), headers) from None
        return message

    def end(self) -> None:
        """The request has been answered, or given up."""
        if self._share is not None:
            self._share.end()

    async def _of_somebody(self) -> Share:
        request = Request(self._scope)
        caller, _ = await in_thread(sender_of, request)
        bodies: Crowd = request.app.state.long_bodies
        return bodies.share(caller.name)


def _said(most: int) -> str:
    return f"the request is larger than {most >> 20} MiB"


async def _refuse(send: Send, most: int) -> None:
    body = json.dumps({"detail": _said(most)}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
