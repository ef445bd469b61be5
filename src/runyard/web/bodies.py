"""Bodies of requests as JSON, read so that nobody waits for somebody else's.

Python reads JSON in one go, and nothing else runs meanwhile. What is long is therefore read in a
thread of its own, one request at a time, and in pieces: the elements of its longest lists.

No library does that. orjson, msgspec and pydantic-core are quicker, but read 32 MiB in one go too,
in which all others are silent for half a second to a second; here it is 30 to 200 ms. ijson builds
its values in one go, unless Python does it, ten times as slowly. What comes nearest, msgspec's raw
pieces, has to hold all of them before it can tell that they are too many: 16 million in a list of
ones.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio.to_thread
from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from runyard.domain.batch import MOST_JOBS

SHORT = 64 << 10  # bytes that are read at once, by whoever receives them
MOST_OF_ONE = 1 << 20  # of one job, and of everything else that is not a list of jobs
MOST_ELEMENTS = MOST_JOBS  # of one list
MOST_COMMAS = 100_000  # in one job: what is between them takes a hundred times its own length

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_WINDOWS = (16 << 10, 128 << 10, MOST_OF_ONE)


class Body(Request):
    """A request whose JSON may be long."""

    async def json(self) -> Any:
        """What it holds. Raises ``JSONDecodeError``; ``HTTPException`` for more than may be."""
        body = await self.body()
        if len(body) <= SHORT:
            return json.loads(body)
        return await anyio.to_thread.run_sync(read, body, limiter=self.app.state.one_long_body)


class Route(APIRoute):
    """An endpoint that reads its body so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handling(request: Request) -> Response:
            try:
                return await handle(Body(request.scope, request.receive))
            except Exception as error:
                _forget_bodies(error)
                raise

        return handling


def _forget_bodies(error: BaseException) -> None:
    """What an error came through knows the body, and often the error, too: such a circle would
    keep the body until Python next looks for circles, which may be hundreds of requests later."""
    if isinstance(error, RequestValidationError):
        error.body = None
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__context__


def read(body: bytes) -> Any:
    """JSON in pieces, between which others get a turn. Raises ``JSONDecodeError``;
    ``HTTPException`` for a piece that is too large."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("not UTF-8", "", error.start) from None
    reader = _Reader(text)
    value = reader.whole()
    if reader.peek():
        raise reader.fault("Extra data")
    return value


class _Reader:
    """Goes through a text; ``at`` is how far it has come."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._outside = 0  # characters that are not elements of lists

    def whole(self) -> Any:
        """A list in pieces, or an object with the lists in it."""
        if self.peek() == "{":
            return {name: self._member() for name in self._names()}
        return self._member()

    def peek(self) -> str:
        """The next character that is not space; none at the end."""
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def fault(self, what: str) -> json.JSONDecodeError:
        """An error here; it does not carry the text, which may be long or secret."""
        return json.JSONDecodeError(what, "", self._at)

    def _member(self) -> Any:
        if self.peek() == "[":
            return [self._piece() for _ in self._elements()]
        before = self._at
        value = self._piece()
        self._outside += self._at - before
        if self._outside > MOST_OF_ONE:
            raise _too_large()
        return value

    def _names(self) -> Iterator[str]:
        for _ in self._between("{", "}"):
            if self.peek() != '"':
                raise self.fault("Expecting property name enclosed in double quotes")
            name = self._piece()
            self._take(":")
            yield name

    def _elements(self) -> Iterator[None]:
        return self._between("[", "]")

    def _between(self, opening: str, closing: str) -> Iterator[None]:
        """Stops where each element begins; whoever asks for the next has read it."""
        self._take(opening)
        if self.peek() == closing:
            self._take(closing)
            return
        for _ in range(MOST_ELEMENTS):
            yield
            if self.peek() == closing:
                self._take(closing)
                return
            self._take(",")
        raise HTTPException(413, f"a list has more than {MOST_ELEMENTS} elements: send several")

    def _take(self, wanted: str) -> None:
        if self.peek() != wanted:
            raise self.fault(f"Expecting {wanted!r}")
        self._at += 1

    def _piece(self) -> Any:
        """One value, at once. Most are short: a longer part of the text is looked at only if one
        does not end in a shorter."""
        self.peek()
        for length in _WINDOWS:
            part = self._text[self._at : self._at + length]
            is_last = self._at + length >= len(self._text)
            try:
                value, end = _DECODER.raw_decode(part)
            except json.JSONDecodeError as error:
                if is_last:
                    self._at += error.pos
                    raise self.fault(error.msg) from None
                continue
            if end == length and not is_last:
                continue  # a number may go on
            if part.count(",", 0, end) > MOST_COMMAS:
                raise HTTPException(413, f"a job holds more than {MOST_COMMAS} values")
            self._at += end
            return value
        raise _too_large()


def _too_large() -> HTTPException:
    return HTTPException(413, f"one job is larger than {MOST_OF_ONE >> 20} MiB")
