"""How processes on one home find and wake each other. Hints only: a worker looks by itself too."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

RESERVED = "run-"  # prefix of workers that serve nobody but a foreground run


class WakePipe:
    """A named pipe: a byte in it means "look for work, or for a cancellation"."""

    def __init__(self, directory: Path, worker: str) -> None:
        self._path = directory / f"{worker}.wake"
        os.mkfifo(self._path, 0o600)
        # Opened for reading and writing, so that it never reports the end of its writers.
        self._fd = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """For a selector."""
        return self._fd

    def wake(self) -> None:
        """Wake the owner, from any thread or signal handler."""
        with contextlib.suppress(BlockingIOError):  # full: it will wake anyway
            os.write(self._fd, b"!")

    def clear(self) -> None:
        """Forget the wake-ups so far."""
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._fd, 4096)) == 4096:
                pass

    def close(self) -> None:
        """Remove the pipe."""
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


def wake_workers(directory: Path) -> None:
    """Wake every worker of this home; one that is gone is passed over."""
    for path in directory.glob("*.wake"):
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(fd, b"!")
            finally:
                os.close(fd)


def ledger_path(directory: Path, worker: str) -> Path:
    """Where a worker's launcher keeps its ledger."""
    return directory / f"{worker}.ledger"


def forget(directory: Path, worker: str) -> None:
    """Remove the pipe that a dead worker left."""
    (directory / f"{worker}.wake").unlink(missing_ok=True)


def is_served(directory: Path) -> bool:
    """Whether a worker that serves everybody lives on this home."""
    return any(
        not path.name.startswith(RESERVED) and _is_locked(path)
        for path in [*directory.glob("*.ledger"), directory / "background.lock"]
    )


def _is_locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def take_background_lock(directory: Path) -> int | None:
    """A descriptor that holds the lock of the one background worker of a home, for as long as any
    process has it open; None if it is taken."""
    fd = os.open(directory / "background.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
