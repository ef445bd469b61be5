"""The worker's end of its launcher: start it, talk to it, notice when it is gone."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runyard.execution import strays, wire
from runyard.execution.logs import STREAM_LIMIT
from runyard.execution.wire import End, Run


class LauncherHandle:
    """A launcher process. For use by one thread, but for ``lease``, which any may call."""

    def __init__(
        self,
        ledger: Path,
        environment: Mapping[str, str],
        directory: Path,
        stream_limit: int = STREAM_LIMIT,
        allowed: Sequence[str] = (),
    ) -> None:
        """``environment`` and ``directory`` are what jobs get when they say nothing else; what
        they say must lie within the ``allowed`` directories, if there are any."""
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-P", "-m", "runyard.execution.launcher"]
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(ledger), str(stream_limit), *allowed],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env={**environment, strays.KEY_VARIABLE: "-" * strays.KEY_ROOM},
                cwd=directory,
                process_group=0,
            )
        self._socket = ours
        self._lines = wire.Lines(ours)
        self._sending = threading.Lock()  # a long message must not be cut by another thread's

    def fileno(self) -> int:
        """For a selector: readable when attempts ended, or the launcher did."""
        return self._socket.fileno()

    @property
    def is_gone(self) -> bool:
        """Whether the launcher hung up; seen by ``ended``."""
        return self._lines.closed

    def start(self, runs: Iterable[Run]) -> None:
        """Start attempts; on a slot on which one runs, when that has ended."""
        if wanted := list(runs):
            self._send({"start": wanted})

    def drop(self, keys: Iterable[str]) -> None:
        """Give back those attempts that have not begun yet."""
        if wanted := list(keys):
            self._send({"drop": wanted})

    def kill(self, keys: Iterable[str], cause: str) -> None:
        """End attempts: TERM, a grace, KILL."""
        # Of nothing to do it must not hear: each message wakes it.
        if wanted := [[key, cause] for key in keys]:
            self._send({"kill": wanted})

    def lease(self, seconds: float) -> None:
        """Let attempts live for so long from now; without another call they are killed then."""
        self._send({"lease": time.monotonic() + seconds})

    def ended(self) -> list[End]:
        """The attempts that ended since the last call; does not wait."""
        messages = self._lines.receive()
        return [End(*fields) for message in messages for fields in message["ended"]]

    def stop(self, grace: float) -> None:
        """End what runs within ``grace`` seconds; the launcher leaves after it."""
        self._send({"stop": grace})

    def close(self) -> None:
        """Hang up, which kills what still runs, and wait for the launcher to leave."""
        self._socket.close()
        self._process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        data = wire.encode(message)
        with self._sending, contextlib.suppress(OSError):  # hung up: ``ended`` notices
            self._socket.sendall(data)

    @property
    def pid(self) -> int:
        """The launcher's process id."""
        return self._process.pid


def clean_environment(secrets: Iterable[str]) -> dict[str, str]:
    """This process's environment without the variables named."""
    hidden = frozenset(secrets)
    return {name: value for name, value in os.environ.items() if name not in hidden}
