"""Stop and start a PostgreSQL that a ``PostgresKeeper`` of one's own began."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path

from tests.support.processes import are_gone, eventually


def stop(home: Path) -> None:
    """At once, as when its host loses power; returns when nothing of it runs any more."""
    pid = int((home / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)
    eventually(lambda: are_gone(pid))


def start(home: Path) -> None:
    """As it was started first; returns before it takes connections."""
    command = shlex.split((home / "data" / "postmaster.opts").read_text())
    owner = home.stat()
    (home / "data" / "postmaster.pid").unlink(missing_ok=True)
    with (home / "log").open("ab") as log:
        subprocess.Popen(
            command,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            **({} if os.geteuid() else _as(owner.st_uid, owner.st_gid)),
        )


def _as(user: int, group: int) -> dict[str, object]:
    return {"user": user, "group": group, "extra_groups": []}
