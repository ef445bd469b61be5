"""A small HTTP client for measuring: cheap enough not to be what is measured."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runyard.web.callers import COOKIE

Request = tuple[str, str, Any]  # method, path, body


@dataclass(slots=True)
class Connection:
    """One kept-alive connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: str

    @classmethod
    async def open(cls, port: int, token: str, cookie: str = "") -> Connection:
        """Connect to a server on this machine; endpoints want a token, pages a cookie."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        head += f"Cookie: {COOKIE}={cookie}\r\n" if cookie else ""
        return cls(reader, writer, head)

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body of the answer."""
        data = b"" if body is None else json.dumps(body).encode()
        more = f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n" if data else ""
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{self.head}{more}\r\n".encode() + data)
        status, length = await self.read_head()
        return status, await self.reader.readexactly(length)

    async def read_head(self) -> tuple[int, int]:
        """Status and length of the answer that comes."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = 0
        for line in head.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
        return int(head.split(" ", 2)[1]), length

    async def line(self) -> bytes:
        """A line of a stream that has begun; empty at its end. A line may be longer than what the
        reader keeps."""
        parts = []
        while True:
            try:
                parts.append(await self.reader.readuntil(b"\n"))
                break
            except asyncio.LimitOverrunError as over:
                parts.append(await self.reader.readexactly(over.consumed))
            except asyncio.IncompleteReadError as end:
                parts.append(end.partial)
                break
        return b"".join(parts)

    def close(self) -> None:
        """Hang up."""
        self.writer.close()


async def latencies(
    port: int,
    token: str,
    clients: int,
    each: int,
    request: Callable[[int], Request],
    cookie: str = "",
) -> list[float]:
    """Seconds of every answer to ``clients`` that each ask ``each`` times, one after the other."""
    taken: list[float] = []

    async def one(number: int) -> None:
        connection = await Connection.open(port, token, cookie)
        for turn in range(each):
            method, path, body = request(number * each + turn)
            began = time.perf_counter()
            status, answer = await connection.ask(method, path, body)
            taken.append(time.perf_counter() - began)
            if status >= 300:
                raise RuntimeError(f"{method} {path}: {status} {answer[:200]!r}")
        connection.close()

    await asyncio.gather(*(one(number) for number in range(clients)))
    return taken
