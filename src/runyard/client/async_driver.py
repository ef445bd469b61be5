"""Carry flows out over HTTP in an event loop; apart, since asyncio takes long to import."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import httpx

from runyard.client.drivers import Conversation, options, request_of
from runyard.client.effects import Answer, Emit, Flow, More, Pause, Send

Result = TypeVar("Result")


class AsyncDriver:
    """Carries flows out in an event loop."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(**options(url))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def run(self, flow: Flow[Result]) -> Result:
        """The flow's result."""
        conversation = Conversation(flow)
        async for _ in self._items(conversation):
            raise AssertionError("a flow that emits is iterated")
        return conversation.result  # type: ignore[return-value]

    def iterate(self, flow: Flow[None]) -> AsyncIterator[Any]:
        """What the flow emits."""
        return self._items(Conversation(flow))

    async def _items(self, conversation: Conversation[Any]) -> AsyncIterator[Any]:
        stream = _AsyncStream()
        try:
            while (effect := conversation.next()) is not None:
                if isinstance(effect, Emit):
                    yield effect.item
                    continue
                try:
                    conversation.reply = await self._carry_out(effect, stream)
                except httpx.TransportError as error:
                    conversation.failed(error)
        finally:
            await stream.close()
            conversation.close()

    async def _carry_out(self, effect: Any, stream: _AsyncStream) -> Any:
        if isinstance(effect, Pause):
            await asyncio.sleep(effect.seconds)
        elif isinstance(effect, More):
            return await stream.more()
        elif isinstance(effect, Send):
            request = request_of(self._client, effect)
            response = await self._client.send(request, stream=effect.is_stream)
            if effect.is_stream and response.is_success:
                await stream.open(response)
                return Answer(response.status_code, response.headers, b"")
            return Answer(response.status_code, response.headers, await response.aread())
        return None


class _AsyncStream:
    def __init__(self) -> None:
        self._response: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def open(self, response: httpx.Response) -> None:
        await self.close()
        self._response, self._pieces = response, response.aiter_bytes()

    async def more(self) -> bytes:
        assert self._pieces is not None
        return await anext(self._pieces, b"")

    async def close(self) -> None:
        if self._response is not None:
            await self._response.aclose()
