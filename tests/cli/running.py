"""Start ``runyard run`` as a user does, and wait for what it does."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from runyard import Runyard
from runyard.domain.job import State

COMMAND = [sys.executable, "-m", "runyard", "run"]
PATIENCE = 100.0  # seconds; the machine may be very busy

Task = dict[str, Any]


def write(tasks: Sequence[Task], name: str = "f.json", **top: Any) -> str:
    """A job file in the current directory."""
    Path(name).write_text(json.dumps({"tasks": tasks, **top}))
    return name


def run(
    *arguments: str, env: dict[str, str] | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run to the end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, **(env or {})},
        check=False,
    )


def run_json(tasks: Sequence[Task], *arguments: str) -> dict[str, Any]:
    """What ``--json`` prints, which must be all there is to see; jobs by name under ``by_name``."""
    done = run(write(tasks), "--json", *arguments)
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout)
    found["by_name"] = {job["name"]: job for job in found["jobs"]}
    found["exit_code"] = done.returncode
    return found


def until(condition: Callable[[], Any], what: str = "it") -> None:
    """Wait for a condition; fail after a long while."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.01)


@contextmanager
def started(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A run under way."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*COMMAND, *arguments], **{**pipes, **options})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def task(name: str, arguments: Any = "true", *needs: str, **fields: Any) -> Task:
    """A task of the plain form that runs a shell line or a command."""
    return {"name": name, "type": "exec", "arguments": arguments, "dependencies": needs} | fields


def code(name: str, arguments: str, *needs: str) -> Task:
    """One that runs Python code."""
    return task(name, arguments, *needs, type="eval")


def nothing_is_open() -> bool:
    """Whether no job waits or runs, and no worker is left."""
    with Runyard(background_worker=False) as yard:
        open_states = (State.BLOCKED, State.DELAYED, State.QUEUED, State.RUNNING)
        left = yard.list(state=open_states).jobs
        return not left and not list((yard.home / "run").glob("run-*"))


def sleeper(name: str, before: str = "", **fields: Any) -> Task:
    """A task that tells its process id in the file ``NAME.pid`` and goes on for long."""
    line = f"{before}echo $$ > {name}.tmp; mv {name}.tmp {name}.pid; sleep 120; sleep 120"
    return {"name": name, "type": "exec", "arguments": line, **fields}


def pids(count: int) -> list[int]:
    """The process ids of so many sleepers, once all of them run."""
    until(lambda: len(list(Path().glob("*.pid"))) == count, f"{count} sleepers")
    return [int(path.read_text()) for path in Path().glob("*.pid")]


def are_gone(of: Sequence[int]) -> bool:
    """Whether no process of these sessions is left."""
    alive = subprocess.run(["ps", "-eo", "sid="], capture_output=True, text=True, check=True)
    return not set(map(int, alive.stdout.split())) & set(of)


def plain(screen: str) -> str:
    """What was written to a terminal, without control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen).replace("\r\n", "\n")


class Terminal:
    """A run, or another command, on a terminal of its own, of the given size."""

    def __init__(
        self,
        *arguments: str,
        size: tuple[int, int] = (24, 80),
        command: Sequence[str] = COMMAND,
        **env: str,
    ) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, size)
        self.process = subprocess.Popen(
            [*command, *arguments],
            env={**os.environ, "TERM": "xterm-256color", **env},
            preexec_fn=lambda: os.login_tty(slave),  # noqa: PLW1509
            pass_fds=[slave],
        )
        os.close(slave)
        self.screen = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)

    def read(self) -> bool:
        """Take what was written; False at the end."""
        with suppress(OSError):
            if data := os.read(self.master, 65536):
                self.screen += data
                return True
        return False

    def wait_for(self, text: str) -> None:
        """Until the text was written."""
        while text.encode() not in self.screen:
            assert self.read(), f"no {text!r} in {self.screen!r}"

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def end(self) -> tuple[int, str]:
        """The exit code, and all that was written."""
        while self.read():
            pass
        return self.process.wait(PATIENCE), self.screen.decode()
