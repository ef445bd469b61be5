"""Find and stop the workers that commands start by themselves."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from tests.support.processes import are_gone, eventually, started_as


def background_workers(home: Path) -> list[int]:
    """The process ids of those that serve a home."""
    return started_as("--background", f"RUNYARD_HOME={home}")


def stop_background_workers(home: Path) -> list[int]:
    """Asks each twice, in case it runs something, and waits until it has left; returns which."""
    found = background_workers(home)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
    eventually(lambda: are_gone(*found))
    return found
