"""Server-sent events, across interruptions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from runyard.client.asking import WAITING_PATIENCE, Asker, Patience
from runyard.client.effects import Emit, Flow, Interrupted, More, Send
from runyard.errors import ServerUnreachable

SILENT_SECONDS = 45.0  # after which nobody is there: every 15 comes a sign of life


@dataclass(frozen=True, slots=True)
class Message:
    """One of a stream."""

    data: str
    event: str = "message"
    id: str | None = None


class Reader(Protocol):
    """Makes of messages what is handed on, until it ``is_over``."""

    @property
    def is_over(self) -> bool: ...

    def take(self, message: Message | None) -> Iterable[Any]:
        """A message; or None: there is none, but the stream lives, or lives again."""
        ...


def listen(asker: Asker, question: Send, reader: Reader, last: str | None = None) -> Flow[None]:
    """Emits what the reader makes of a stream. If it breaks off, we come back and say what we have
    seen last."""
    patience = Patience(WAITING_PATIENCE)
    question = replace(question, is_stream=True, seconds=SILENT_SECONDS)
    while not reader.is_over:
        headers = {} if last is None else {"Last-Event-ID": last}
        yield from asker.answer(replace(question, headers=headers), patience)
        parser = Parser()
        try:
            while (piece := (yield More())) and not reader.is_over:
                for message in parser.feed(piece):
                    patience.renew()
                    last = message.id if message and message.id is not None else last
                    for item in reader.take(message):
                        yield Emit(item)
        except Interrupted:
            pass
        if not reader.is_over:
            pause = patience.pause()
            if pause is None:
                raise ServerUnreachable(f"{asker.keyring.url} breaks off again and again")
            yield pause


class Parser:
    """Cuts a stream into messages; a comment becomes None."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Message | None]:
        """The messages that this piece completes."""
        *blocks, self._rest = (self._rest + piece).split(b"\n\n")
        return [_message(block.decode()) for block in blocks]


def _message(block: str) -> Message | None:
    fields: dict[str, str] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
    if "data" not in fields:
        return None
    return Message(fields["data"], fields.get("event", "message"), fields.get("id"))
