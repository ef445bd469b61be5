"""``runyard run`` on a server: as here, with the workers there."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.domain.job import State
from tests.cli.running import (
    PATIENCE,
    Terminal,
    pids,
    plain,
    run,
    sleeper,
    started,
    task,
    until,
    write,
)
from tests.support.working import WorkerProcess

pytestmark = [
    pytest.mark.usefixtures("way"),
    pytest.mark.parametrize("way", ["remote"], indirect=True),
]
TASKS = [
    task("compile", "echo compiled"),
    task("check", "echo bad >&2; exit 3", "compile"),
    task("flaky", "[ -e again ] || { touch again; exit 1; }", max_attempts=2, retry_delay=0),
    task("report", "true", "check"),
]


@pytest.fixture
def yard(way: str) -> Iterator[Runyard]:
    with Runyard() as yard:
        yield yard


@pytest.fixture
def worker(way: str) -> Iterator[WorkerProcess]:
    with WorkerProcess() as worker:
        yield worker


def without_times(text: str) -> list[str]:
    gone = re.compile(r" *\b\d+\.\d\b( s\b)?|\([0-9a-z]{13}\)|logs \w+")
    return sorted(gone.sub("", line).rstrip() for line in text.splitlines())


@pytest.mark.usefixtures("worker")
def test_it_says_what_a_run_here_says(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = run(write(TASKS))
    (here / "again").unlink()
    monkeypatch.setenv("RUNYARD_URL", "")
    local = run(write(TASKS))

    assert (there.returncode, local.returncode) == (1, 1)
    assert without_times(there.stdout) == without_times(local.stdout)
    assert without_times(there.stderr) == without_times(local.stderr)


@pytest.mark.usefixtures("worker")
def test_with_json_it_is_one_object() -> None:
    done = run(write([task("a", "echo out; echo err >&2")]), "--json", "--name", "mine")

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["batch"]["name"], found["batch"]["passed"]) == ("mine", 1)
    assert [(job["stdout"], job["stderr"]) for job in found["jobs"]] == [("out\n", "err\n")]


@pytest.mark.usefixtures("worker")
def test_the_first_failure_ends_it_if_it_shall(yard: Runyard) -> None:
    tasks = [sleeper("long"), task("bad", "until [ -e long.pid ]; do sleep 0.1; done; exit 1")]
    done = run(write(tasks), "--fail-fast")

    assert done.returncode == 1
    assert "a task failed: cancelling the rest" in done.stderr
    assert "1 failed, 1 cancelled in" in done.stdout


@pytest.mark.usefixtures("worker")
def test_what_was_skipped_by_the_failure_is_told_too() -> None:
    done = run(write([task("bad", "false"), task("next", "true", "bad")]), "--fail-fast")

    assert without_times(done.stderr) == [
        "a task failed: cancelling the rest",
        "failed     bad  exit code 1",
        "skipped    next  needs bad, which failed",
    ]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.usefixtures("worker")
def test_a_signal_cancels_what_is_left(yard: Runyard, number: signal.Signals, code: int) -> None:
    with started(write([sleeper("long"), task("next", "true", "long")])) as process:
        pids(1)
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == code
    assert "2 cancelled in" in out
    assert {job.state for job in yard.list().jobs} == {State.CANCELLED}


def test_a_second_signal_leaves_at_once(yard: Runyard) -> None:
    with started(write([sleeper("long")])) as process, WorkerProcess():
        (pid,) = pids(1)
        (Path(f"/proc/{pid}")).exists()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        until(lambda: {job.state for job in yard.list().jobs} == {State.CANCELLED})


@pytest.mark.usefixtures("worker")
def test_a_terminal_shows_a_bar() -> None:
    with Terminal(write([task("a", "sleep 0.5"), task("b")])) as terminal:
        code, screen = terminal.end()

    assert code == 0
    assert "2/2" in screen
    assert "2 passed in" in plain(screen)


@pytest.mark.parametrize("option", ["--slots=2", "--simulate", "--config=x"])
def test_what_is_for_a_worker_here_is_refused(option: str) -> None:
    done = run(write([task("a")]), option)

    assert done.returncode == 2
    assert "--slots, --simulate and --config are for a worker of this machine" in done.stderr


def test_a_file_without_tasks_is_over_at_once() -> None:
    done = run(write([]))

    assert (done.returncode, done.stdout) == (0, "\n0 passed in 0.0 s\n")
