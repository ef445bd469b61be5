"""Leftovers: processes whose launcher died without ending them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import psutil

from runyard.execution import ledger
from runyard.execution.strays import KEY_VARIABLE

CLOCK_TOLERANCE = 5.0  # seconds; the kernel keeps a process's start only relative to its own boot
PATIENCE = 5.0  # seconds to wait for killed processes before looking again


def end_leftovers(ledgers: Iterable[Path]) -> list[str]:
    """Kill what dead launchers left running; returns the names of their ledgers, now removed.

    Only processes of this host are seen. A process is a leftover if its environment carries the
    key of one of the dead launcher's attempts, or if its session leader's id and start fit an
    entry: a process id alone may long belong to somebody else, above all after a reboot.
    """
    dead = []
    for path in ledgers:
        with _locked(path) as is_dead:
            if is_dead:
                entries = {entry.pid: entry for entry in ledger.read(path)}
                while found := _leftovers(entries, f"{path.stem}."):
                    _kill(found)
                path.unlink(missing_ok=True)
                dead.append(path.stem)
    return dead


def _leftovers(entries: Mapping[int, ledger.Entry], prefix: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _fits(process, entries, prefix)]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Whether nobody else holds the file; it is held while the block runs."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield os.fstat(fd).st_nlink > 0
    finally:
        os.close(fd)


def _fits(process: psutil.Process, entries: Mapping[int, ledger.Entry], prefix: str) -> bool:
    """``prefix`` begins the keys of all attempts of the dead launcher: it may have died between
    starting a process and entering it, or after an attempt whose daemon it was about to end."""
    try:
        if process.pid == os.getpid() or not _is_alive(process):
            return False
        entry = entries.get(os.getsid(process.pid))
        if entry and _started_at(entry.pid, entry.started_at):
            return True
        return process.environ().get(KEY_VARIABLE, "").startswith(prefix)
    except (psutil.Error, OSError):
        return False


def _started_at(pid: int, instant: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - instant) <= CLOCK_TOLERANCE
    except psutil.NoSuchProcess:
        return False


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(OSError):
            os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while any(map(_is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.002)


def _is_alive(process: psutil.Process) -> bool:
    """A zombie is not: whether somebody reaps it is not our affair, and in many a container
    nobody does."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
