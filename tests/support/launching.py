"""Run commands on a real launcher, without a worker and a store."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self
from uuid import uuid4

from runyard.execution import logs
from runyard.execution.handle import LauncherHandle
from runyard.execution.logs import STREAM_LIMIT, LogPaths
from runyard.execution.strays import KEY_VARIABLE
from runyard.execution.wire import End, Run
from tests.support.processes import PATIENCE, eventually, with_key

LEASE = 600.0


def _environment() -> dict[str, str]:
    """Ours, without what would change when Python writes its output."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


class Ran(NamedTuple):
    """One finished attempt."""

    end: End
    out: bytes
    err: bytes


class Bench:
    """A launcher, what it was told to run and how that ended."""

    def __init__(
        self,
        root: Path,
        environment: Mapping[str, str] | None = None,
        stream_limit: int = STREAM_LIMIT,
        allowed: Sequence[str] = (),
    ) -> None:
        self.name = f"bench-{uuid4().hex[:8]}"
        self.root = root
        self.ledger = root / f"{self.name}.ledger"
        env = dict(_environment() if environment is None else environment)
        self.launcher = LauncherHandle(self.ledger, env, root, stream_limit, allowed)
        self.launcher.lease(LEASE)
        self.ends: dict[str, End] = {}
        self._logs: dict[str, LogPaths] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.launcher.close()
        eventually(lambda: not with_key(f"{self.name}."))

    def prepare(
        self, command: str | list[str], *, env: dict[str, str] | None = None, **fields: Any
    ) -> Run:
        """A string is a shell line unless its ``kind`` is given."""
        number = len(self._logs) + 1
        key = f"{self.name}.{number}.1"
        paths = logs.paths(self.root / "logs", f"{number:05}", 1)
        self._logs[key] = paths
        kind = fields.pop("kind", "shell" if isinstance(command, str) else "command")
        fields.setdefault("slot", number)
        environment = {**(env or {}), KEY_VARIABLE: key}
        return Run(
            key, kind, command, str(paths.stdout), str(paths.stderr), env=environment, **fields
        )

    def start(self, command: str | list[str], **fields: Any) -> str:
        """Start an attempt; returns its key."""
        run = self.prepare(command, **fields)
        self.launcher.start([run])
        return run.key

    def snippet(self, code: str, **fields: Any) -> Ran:
        """Run Python code to its end."""
        return self.run(code, kind="python", **fields)

    def run(self, command: str | list[str], **fields: Any) -> Ran:
        """Run a command to its end."""
        return self.ran(self.start(command, **fields))

    def ran(self, key: str) -> Ran:
        """Wait for the end of a started attempt."""
        return Ran(self.end_of(key), self.out(key), self.err(key))

    def end_of(self, key: str, seconds: float = PATIENCE) -> End:
        deadline = time.monotonic() + seconds
        while key not in self.ends:
            left = deadline - time.monotonic()
            assert left > 0, f"{key} has not ended; it wrote {self.out(key)!r} {self.err(key)!r}"
            if select.select([self.launcher], [], [], left)[0]:
                self.ends.update((end.key, end) for end in self.launcher.ended())
                assert key in self.ends or not self.launcher.is_gone, "the launcher died"
        return self.ends[key]

    def out(self, key: str) -> bytes:
        return logs.read(self.stdout(key))

    def err(self, key: str) -> bytes:
        return logs.read(self._logs[key].stderr)

    def stdout(self, key: str) -> Path:
        return self._logs[key].stdout

    def words(self, key: str, count: int = 1) -> list[str]:
        """The first words that a running attempt writes, once there are so many."""

        def written() -> list[str] | None:
            text = self.out(key).decode()
            return text.split() if text.endswith("\n") and len(text.split()) >= count else None

        return eventually(written) or []

    def pids(self, key: str, count: int = 1) -> list[int]:
        """Process ids that a running attempt writes."""
        return [int(word) for word in self.words(key, count)]
