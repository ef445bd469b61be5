"""What a worker and its launcher say to each other: one JSON object a line, tuples as arrays.

Worker to launcher: ``{"start": [Run…]}`` (on a slot that is taken, when it is free), ``{"drop":
[key…]}`` (what has not begun yet), ``{"kill": [[key, cause]…]}``, ``{"lease": until}`` (an
instant of ``time.monotonic``, which all processes of a host share), ``{"stop": grace}``. Launcher
to worker: ``{"ended": [End…]}``. Only the standard library is imported here, because the launcher
must start fast and stay small.
"""

from __future__ import annotations

import json
import socket
from typing import Any, NamedTuple

MIB = 1 << 20


class Run(NamedTuple):
    """One attempt to start. ``key`` names it in all messages; seconds are of wall time."""

    key: str
    kind: str  # command, shell or python
    command: str | list[str]
    stdout: str
    stderr: str
    slot: int
    cwd: str | None = None
    env: dict[str, str] | None = None
    timeout: float | None = None
    silent_timeout: float | None = None


class End(NamedTuple):
    """How an attempt ended; ``cause`` is a value of ``domain.lifecycle.Cause``."""

    key: str
    cause: str
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    detail: str | None = None


def encode(message: dict[str, Any]) -> bytes:
    """A message as one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def send_some(peer: socket.socket, data: bytes) -> int:
    """Send what can be sent without waiting; returns how many bytes."""
    try:
        return peer.send(data, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return 0
    except ConnectionError:  # noticed as the end of file at the next read
        return len(data)


class Lines:
    """Cuts what arrives on a socket into messages."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._rest: list[bytes] = []
        self.closed = False

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have arrived, without waiting; sets ``closed`` once the peer is
        gone."""
        lines: list[bytes] = []
        while not self.closed and (chunk := self._receive_some()) is not None:
            head, *more = chunk.split(b"\n")
            self._rest.append(head)
            for piece in more:
                lines.append(b"".join(self._rest))
                self._rest = [piece]
        return [json.loads(line) for line in lines]

    def _receive_some(self) -> bytes | None:
        try:
            chunk = self._peer.recv(1 << 18, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionError:
            chunk = b""
        self.closed = not chunk
        return chunk
