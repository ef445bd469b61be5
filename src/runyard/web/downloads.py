"""Logs as files, whole or in part, so that a download that broke off goes on.

Starlette's own answer with a file reads it by its name, which a job may have replaced, and to its
end, which moves while the job writes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator
from pathlib import Path

from fastapi import HTTPException, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from runyard.execution import logs
from runyard.web.crowds import Crowd

TEXT = "text/plain; charset=utf-8"
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


def of(
    path: Path,
    name: str,
    wanted: str | None,
    unless_changed: str | None,
    crowd: Crowd,
    whose: str,
    *,
    tail: int | None = None,
    is_head: bool = False,
) -> Response:
    """A log, or the part of it that ``Range`` wants if it is still as ``If-Range`` says. While the
    middle of a flood is missing, what is told instead has another length than what is kept: then
    there are no parts. Nor are there of its last ``tail`` bytes."""
    kept = logs.whole(path) if tail is None else None
    if kept is None:
        headers = {**_attached(name), "Accept-Ranges": "none"}
        return _Pieces(logs.stretches(path, tail), 200, headers, crowd, whose, is_head)
    tag = f'"{kept.tag}"'
    part = _part(wanted, kept.size) if unless_changed in (None, tag) else None
    asked = range(kept.size) if part is None else part
    headers = {
        **_attached(name),
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Content-Length": str(len(asked)),
    }
    if part is not None:
        headers["Content-Range"] = f"bytes {asked.start}-{asked.stop - 1}/{kept.size}"
    status = 200 if part is None else 206
    return _Pieces(kept.read(asked), status, headers, crowd, whose, is_head)


class _Pieces(StreamingResponse):
    """What is read while it is sent, and closed when it has been or was given up; one of the
    ``crowd``, for a reader may be slow. Raises ``LimitReached`` before it begins."""

    media_type = TEXT

    def __init__(
        self,
        pieces: Generator[bytes],
        status: int,
        headers: dict[str, str],
        crowd: Crowd,
        whose: str,
        is_head: bool,
    ) -> None:
        super().__init__(() if is_head else pieces, status, headers)
        self._pieces = pieces
        self._crowd = crowd
        self._whose = whose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.closing(self._pieces), self._crowd.joined(self._whose):
            await super().__call__(scope, receive, send)


def _part(wanted: str | None, size: int) -> range | None:
    """The part that a ``Range`` names; None for the whole, as for what nobody understands, and for
    several parts, which whoever asks has to be ready to get together. Raises 416."""
    found = _RANGE.fullmatch(wanted or "")
    if found is None or found[1] == found[2] == "":
        return None
    first, last = found[1], found[2]
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= stop:
        raise HTTPException(
            416, f"the log has {size} bytes by now", {"Content-Range": f"bytes */{size}"}
        )
    return range(start, stop)


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
