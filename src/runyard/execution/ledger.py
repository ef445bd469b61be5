"""The ledger of a launcher's processes, on disk, so that they can be ended should it die.

One line a slot: process id, time of start, attempt. Whoever can lock the file knows that its
launcher is dead; the kernel drops the lock with the process, whatever ended it.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LINE = 96
_EMPTY = b" " * (_LINE - 1) + b"\n"
_ENTRY = re.compile(r" *(\d{1,9}) (\d+\.\d+) (\S+) *", re.ASCII)


@dataclass(frozen=True, slots=True)
class Entry:
    """A process that was started at ``started_at`` (POSIX seconds) for an attempt."""

    pid: int
    started_at: float
    key: str


class Ledger:
    """A launcher's own ledger; held open and locked while it lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = self._open()
        # Between creating and locking it, somebody who looks for dead launchers may remove it.
        while os.fstat(self._fd).st_nlink == 0:
            os.close(self._fd)
            self._fd = self._open()

    def _open(self) -> int:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        return fd

    def enter(self, slot: int, pid: int, key: str) -> None:
        """Note what runs in a slot."""
        line = f"{pid} {time.time():.3f} {key}".encode().ljust(_LINE - 1) + b"\n"
        os.pwrite(self._fd, line, slot * _LINE)

    def leave(self, slot: int) -> None:
        """Note that a slot is free."""
        os.pwrite(self._fd, _EMPTY, slot * _LINE)


def read(path: Path) -> Iterator[Entry]:
    """The entries of a ledger; a line torn by a crash is passed over."""
    for line in path.read_bytes().replace(b"\0", b" ").decode(errors="replace").splitlines():
        if match := _ENTRY.fullmatch(line):
            yield Entry(int(match[1]), float(match[2]), match[3])
