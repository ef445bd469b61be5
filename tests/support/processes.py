"""Look at real processes, and wait for what they do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

from runyard.execution.strays import KEY_VARIABLE

Value = TypeVar("Value")

PATIENCE = 60.0  # seconds; only a test that fails waits so long


def eventually(look: Callable[[], Value], seconds: float = PATIENCE) -> Value:
    """What ``look`` returns as soon as it is true; fails when it stays false."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        time.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def are_gone(*pids: int) -> bool:
    return not any(is_alive(pid) for pid in pids)


def state_of(pid: int) -> str:
    """One letter, as ps shows it; "" for none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def children_of(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


def with_key(prefix: str) -> list[int]:
    """The living processes that belong to attempts whose key begins so."""
    wanted = f"{KEY_VARIABLE}={prefix}".encode()
    return [
        pid
        for pid in psutil.pids()
        if any(part.startswith(wanted) for part in _words(pid, "environ")) and is_alive(pid)
    ]


def with_variable(variable: str) -> list[int]:
    """The living processes that were started with this ``NAME=value`` around them."""
    wanted = variable.encode()
    return [pid for pid in psutil.pids() if wanted in _words(pid, "environ") and is_alive(pid)]


def started_as(word: str, variable: str) -> list[int]:
    """Those of them that have such a word in their command."""
    return [pid for pid in with_variable(variable) if word.encode() in _words(pid, "cmdline")]


def _words(pid: int, name: str) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
            return file.read().split(b"\0")
    except OSError:  # it ended meanwhile
        return []
