"""What a conversation with a server needs done: said here once, done by threads or by asyncio.

A ``Flow`` is a generator that yields an effect, is sent what came of it, and returns its result. It
does no I/O itself, so one text of it serves both transports.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")

Flow = Generator[Any, Any, Result]


@dataclass(frozen=True, slots=True)
class Send:
    """Ask; answered with an ``Answer``. Of a stream, its head: ``More`` brings the rest."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 60.0  # of silence, after which nobody is there any more
    is_stream: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class More:
    """The next piece of the stream that was opened last; empty at its end."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Let some seconds pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand something to whoever iterates."""

    item: Any


class Interrupted(Exception):
    """No answer came; not ``was_sent`` if the question surely did not arrive either."""

    def __init__(self, text: str, *, was_sent: bool) -> None:
        super().__init__(text)
        self.was_sent = was_sent
