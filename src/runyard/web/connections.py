"""How long, and how much, the other side of a connection may take.

A connection that says nothing, or reads nothing, costs little, but many of them cost everything
that a process may have open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 30.0  # from the first byte, or from nothing, to the end of a request's head
BODY_SECONDS = 600.0  # for its body: 32 MiB at half a megabit a second
READ_SECONDS = 60.0  # in which something of what waits to be read must be
MOST_OF_HEAD = 64 << 10
MOST_OF_REQUEST = 80 << 20  # with what marks the pieces of a body


class Connection(HttpToolsProtocol):
    """Ends itself when the other side is too slow or says too much."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._came = 0
        self._is_in_head = True
        self._late = self._after(HEAD_SECONDS, transport.abort)
        self._unread: asyncio.TimerHandle | None = None
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._came += len(data)
        super().data_received(data)
        if self._came > (MOST_OF_HEAD if self._is_in_head else MOST_OF_REQUEST):
            if self._is_in_head:
                self.send_400_response("The head of the request is too large.")
            else:
                self.transport.abort()

    def on_message_begin(self) -> None:
        self._came = 0
        self._is_in_head = True
        self._late.cancel()
        self._late = self._after(HEAD_SECONDS, self.transport.abort)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._late.cancel()
        self._late = self._after(BODY_SECONDS, self.transport.abort)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._late.cancel()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """More waits to be read than we keep."""
        self._unread = self._after(READ_SECONDS, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def _after(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return self.loop.call_later(seconds, act)
