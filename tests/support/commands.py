"""Use ``runyard`` as a user does, in a process of its own or, where that does not matter, here."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runyard.cli.main import main

COMMAND = [sys.executable, "-m", "runyard"]
PATIENCE = 90.0  # seconds; the machine may be very busy


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout, which must be all there is to see."""
        assert self.err == ""
        assert self.out.count("\n") == 1, self.out
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def sentence(self) -> str:
        """The error, which must be one line at the end of stderr and all there is."""
        *usage, last = self.err.splitlines()
        assert self.out == ""
        assert not usage or (len(usage) == 1 and usage[0].startswith("Usage: "))
        assert last.startswith("runyard: ")
        return last.removeprefix("runyard: ")


def runyard(*arguments: str, stdin: str = "", **environment: str) -> Said:
    """In a process of its own."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        env={**os.environ, **environment},
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def call(*arguments: str) -> Said:
    """In this process: quicker, and nothing but the process is different."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before = sys.argv
    sys.argv = ["runyard", *arguments]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main()
    finally:
        sys.argv = before
        gc.enable()
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(errors="replace"))
    assert isinstance(ended.value.code, int)
    return Said(ended.value.code, *texts)


def shell(line: str, **environment: str) -> Said:
    """A line for bash, in which ``runyard`` is ours."""
    function = f'runyard() {{ "{sys.executable}" -m runyard "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", function + line],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        env={**os.environ, **environment},
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def at_terminal(*arguments: str) -> bytes:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, *arguments], stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        chunks = []
        with contextlib.suppress(OSError):  # the terminal is closed when the command has ended
            while chunk := os.read(ours, 4096):
                chunks.append(chunk)
    os.close(ours)
    assert process.returncode == 0
    return b"".join(chunks)


def submitted(*arguments: str) -> str:
    """Submit; returns the id."""
    said = call("submit", *arguments)
    assert (said.code, said.err) == (0, "")
    return said.out.strip()


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A command to be watched while it runs."""
    return subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, **options)


def quiet_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands in this process start no background worker: jobs wait for one of ours."""
    monkeypatch.setattr("runyard.bootstrap.ensure_worker", lambda *_: False)


def words(path: Path) -> Sequence[str]:
    return path.read_text().split() if path.exists() else []
