"""Carry flows out over HTTP, in the calling thread."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from runyard import __version__
from runyard.client.effects import Answer, Emit, Flow, Interrupted, More, Pause, Send

# Its command line, which it imports with all that paints it, would take most of a short command.
_hidden = "httpx._main" not in sys.modules
if _hidden:
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
import httpx  # noqa: E402

if _hidden:
    del sys.modules["httpx._main"]

Result = TypeVar("Result")

CONNECT_SECONDS = 5.0
MOST_CONNECTIONS = 100


class Conversation(Generic[Result]):
    """A flow under way: what it wants next, and what it is told."""

    def __init__(self, flow: Flow[Result]) -> None:
        self._flow = flow
        self._error: Exception | None = None
        self.reply: Any = None
        self.result: Result | None = None

    def next(self) -> Any:
        """The next effect; None when there is a result."""
        error, reply = self._error, self.reply
        self._error = self.reply = None
        try:
            return self._flow.send(reply) if error is None else self._flow.throw(error)
        except StopIteration as end:
            self.result = end.value
            return None

    def failed(self, error: httpx.TransportError) -> None:
        """No answer came."""
        was_sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        text = str(error) or type(error).__name__
        self._error = Interrupted(text, was_sent=was_sent)

    def close(self) -> None:
        """Give it up."""
        self._flow.close()


def options(url: str) -> dict[str, Any]:
    """How clients of httpx are made."""
    return {
        "base_url": url,
        "headers": {"User-Agent": f"runyard/{__version__}"},
        "timeout": httpx.Timeout(60.0, connect=CONNECT_SECONDS),
        "limits": httpx.Limits(max_connections=MOST_CONNECTIONS, keepalive_expiry=60.0),
        # Reading the certificates of the world takes long, and is for nothing without TLS.
        "verify": url.startswith("https:"),
    }


def request_of(client: httpx.Client | httpx.AsyncClient, send: Send) -> httpx.Request:
    """What is sent, for httpx."""
    return client.build_request(
        send.method,
        send.path,
        params=send.params or None,
        json=send.json,
        data=send.form,
        headers=send.headers,
        timeout=httpx.Timeout(send.seconds, connect=CONNECT_SECONDS),
    )


class SyncDriver:
    """Carries flows out in the calling thread; may be used by many at once."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(**options(url))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def run(self, flow: Flow[Result]) -> Result:
        """The flow's result."""
        conversation = Conversation(flow)
        for _ in self._items(conversation):
            raise AssertionError("a flow that emits is iterated")
        return conversation.result  # type: ignore[return-value]

    def iterate(self, flow: Flow[None]) -> Iterator[Any]:
        """What the flow emits."""
        return self._items(Conversation(flow))

    def _items(self, conversation: Conversation[Any]) -> Iterator[Any]:
        stream = _Stream()
        try:
            while (effect := conversation.next()) is not None:
                if isinstance(effect, Emit):
                    yield effect.item
                    continue
                try:
                    conversation.reply = self._carry_out(effect, stream)
                except httpx.TransportError as error:
                    conversation.failed(error)
        finally:
            stream.close()
            conversation.close()

    def _carry_out(self, effect: Any, stream: _Stream) -> Any:
        if isinstance(effect, Pause):
            time.sleep(effect.seconds)
        elif isinstance(effect, More):
            return stream.more()
        elif isinstance(effect, Send):
            response = self._client.send(request_of(self._client, effect), stream=effect.is_stream)
            if effect.is_stream and response.is_success:
                stream.open(response)
                return Answer(response.status_code, response.headers, b"")
            return Answer(response.status_code, response.headers, response.read())
        return None


class _Stream:
    def __init__(self) -> None:
        self._response: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def open(self, response: httpx.Response) -> None:
        self.close()
        self._response, self._pieces = response, response.iter_bytes()

    def more(self) -> bytes:
        return next(self._pieces, b"")

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
