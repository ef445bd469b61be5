"""Strays: descendants that left their attempt's process group, as daemons do.

On Linux the launcher is the reaper of its orphaned descendants, so a daemon becomes its child and
can be found, and told from others by the attempt's key in its environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection, Iterable
from typing import NamedTuple

KEY_VARIABLE = "RUNYARD_ATTEMPT"
KEY_ROOM = 96  # bytes kept free for a key in the launcher's environment
PATIENCE = 0.5  # seconds to wait for killed processes; what takes longer is left to the sweeps

_PR_SET_CHILD_SUBREAPER = 36
_TELLS_CHILDREN = os.path.exists("/proc/thread-self/children")  # or nobody knows the strays
_EXITING = 0x4  # a flag in /proc/PID/stat: its memory, and so its environment, is gone already


def adopt() -> None:
    """Become the parent of all orphaned descendants."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Stamp:
    """The place in this process's first environment where a forked child writes its key.

    The kernel shows the environment a program was started with; a fork that starts no program
    would carry the launcher's for ever, and so would all that it forks.
    """

    def __init__(self) -> None:
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        self._address = getenv(KEY_VARIABLE.encode()) if KEY_VARIABLE in os.environ else None
        self._room = len(os.environ.pop(KEY_VARIABLE, ""))

    def write(self, key: str) -> None:
        """Let this process, and all that it forks, be known by a key."""
        if self._address and len(key) <= self._room:
            ctypes.memmove(self._address, key.encode().ljust(self._room, b"\0"), self._room)


def of(key: str, leader: int, known: Collection[int]) -> list[int]:
    """The strays of an attempt: living children, none of the ``known`` ones, that are in the
    session of its ``leader`` or carry its key."""
    return [
        pid
        for pid, status in _unknown(known)
        if not status.is_exiting and (status.session == leader or _key_of(pid) == key)
    ]


def end(key: str, leader: int, known: Collection[int]) -> bool:
    """Kill the strays of an attempt whose leader has ended, and those that appear thereby: when a
    stray dies, its own children become ours. Returns whether certainly none is left: among other
    attempts, one that wiped its environment cannot be told from theirs."""
    deadline = time.monotonic() + PATIENCE
    while unknown := _unknown(known):
        if not _kill_some(unknown, key, leader, known) or time.monotonic() >= deadline:
            return False
        time.sleep(0.0005)
    return _TELLS_CHILDREN


def _kill_some(
    unknown: Iterable[tuple[int, _Status]], key: str, leader: int, known: Collection[int]
) -> bool:
    """One round; returns whether another is due."""
    is_due = False
    for pid, status in unknown:
        if status.is_exiting:
            is_due = True  # whose it is cannot be told any more, but its children may be
        # With no other attempt around, even one that wiped its environment can be nobody else's.
        elif status.session == leader or not known or _key_of(pid) == key:
            send([pid], signal.SIGKILL)
            is_due = True
    return is_due


def sweep(running: Collection[str], known: Collection[int]) -> bool:
    """Reap dead children, and kill those that carry the key of an attempt that is not ``running``
    any more. Returns whether there are any children but the ``known`` ones."""
    unknown = _unknown(known)
    for pid, _ in unknown:
        if (key := _key_of(pid)) and key not in running:
            send([pid], signal.SIGKILL)
    return bool(unknown)


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_all() -> None:
    """Kill and reap every child there still is."""
    while children := _children():
        send(children, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    """This process's children; none where the system does not tell."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb", buffering=0) as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


class _Status(NamedTuple):
    session: int
    is_exiting: bool


def _unknown(known: Collection[int]) -> list[tuple[int, _Status]]:
    """The living children that are none of the ``known`` ones; dead ones are reaped."""
    return [
        (pid, status)
        for pid in _children()
        if pid not in known and not _is_reaped(pid) and (status := _status(pid))
    ]


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _status(pid: int) -> _Status | None:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            words = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return _Status(int(words[3]), bool(int(words[6]) & _EXITING))


def _key_of(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None
    prefix = f"{KEY_VARIABLE}=".encode()
    found = (v.removeprefix(prefix) for v in variables if v.startswith(prefix))
    return next((value.decode(errors="replace") for value in found), None)
