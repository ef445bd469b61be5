"""Whoever waits for what cannot happen is told."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runyard import Runyard
from runyard.cli import why
from tests.cli.running import started, task, write
from tests.support.commands import call, start
from tests.support.working import WorkerProcess

REMOTELY = pytest.mark.parametrize("way", ["remote"], indirect=True)
NOBODY = "is queued: no worker is running; "


@contextmanager
def waiting(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with start(*arguments, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline().rstrip("\n")


@REMOTELY
def test_a_submission_that_nobody_runs(way: str) -> None:
    with waiting("submit", "--wait", "true") as process:
        assert process.stdout is not None
        job = process.stdout.readline().strip()
        assert first_line(process) == f"{job} {NOBODY}it is the next one"
        with WorkerProcess():
            assert process.communicate(timeout=60)[1] == "passed\n"
    assert process.returncode == 0


@REMOTELY
@pytest.mark.parametrize("word", ["wait", "logs"])
def test_jobs_that_nobody_runs(way: str, word: str) -> None:
    with Runyard() as yard:
        (job,) = yard.list(batch=yard.submit_batch([{"command": "echo it"}])).jobs
    arguments = ["wait", job.batch_id or ""] if word == "wait" else ["logs", "-f", job.id]
    with waiting(*arguments) as process:
        assert first_line(process) == f"{job.id} {NOBODY}it is the next one"
        with WorkerProcess():
            out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out in ("it\n", f"{job.id}  passed  echo it\n")


@REMOTELY
def test_a_file_that_nobody_runs(way: str) -> None:
    with started(write([task("a"), task("b", "true", "a")])) as process:
        assert NOBODY in first_line(process)
        with WorkerProcess():
            out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "2 passed" in out


def test_what_is_paused(way: str) -> None:
    assert call("pause", "org", "default").code == 0
    with WorkerProcess(), waiting("submit", "--wait", "true") as process:
        assert " is queued: org default has been paused for " in first_line(process)
        assert call("resume", "org", "default").code == 0
        assert process.communicate(timeout=60)[1] == "passed\n"


@REMOTELY
def test_nothing_is_told_while_something_happens(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "PAUSES", (0.01,))
    with WorkerProcess():
        said = call("submit", "--wait", "sleep 0.5")

    assert (said.code, said.err) == (0, "passed\n")
