"""Find and stop the workers that commands start by themselves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.processes import are_gone, eventually, started_as


def background_workers(home: Path) -> list[int]:
    """The process ids of those that serve a home."""
    return started_as("--background", f"RUNYARD_HOME={home}")


def stop_background_workers(home: Path) -> None:
    """Asks each twice, in case it runs something, and waits until it has left."""
    for pid in background_workers(home):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
        eventually(lambda pid=pid: are_gone(pid))
