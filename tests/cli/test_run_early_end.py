"""``runyard run`` that ends early: the first failure, signals, cancellation, a kill."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.domain.job import State
from tests.cli.running import (
    Terminal,
    are_gone,
    nothing_is_open,
    pids,
    plain,
    run,
    run_json,
    sleeper,
    started,
    task,
    until,
    write,
)

pytestmark = pytest.mark.usefixtures("here")


def test_fail_fast_cancels_the_rest_at_once() -> None:
    waits = "until [ -e a.pid ] && [ -e b.pid ]; do sleep 0.02; done; exit 4"
    tasks = [sleeper("a"), sleeper("b"), task("bad", waits), task("later", "true", "a")]
    done = run(write(tasks), "--fail-fast")
    assert done.returncode == 1
    assert "1 failed, 3 cancelled in" in done.stdout
    assert re.search(r"^later  cancelled +before it started$", done.stdout, re.MULTILINE)
    assert re.search(r"^a      cancelled +\d\.\d  while it ran$", done.stdout, re.MULTILINE)
    assert are_gone(pids(2))
    assert nothing_is_open()


def test_fail_fast_starts_next_to_nothing_after_a_failure() -> None:
    tasks = [task("bad", "exit 1"), *(task(f"t{n}") for n in range(50))]
    found = run_json(tasks, "--fail-fast", "--slots", "1")
    assert found["batch"]["failed"] == 1
    assert found["batch"]["passed"] <= 1, "one may start in the commit that knows of the failure"


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=str,
)
def test_a_signal_cancels_what_is_left_and_ends_what_runs(
    number: signal.Signals, exit_code: int
) -> None:
    tasks = [sleeper("a"), sleeper("b"), task("done"), task("later", "true", "a")]
    with started(write(tasks)) as process:
        running = pids(2)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == exit_code
    assert are_gone(running)
    assert nothing_is_open()
    # The short one may or may not have come to its end by then.
    assert "1 passed, 3 cancelled in" in out or "4 cancelled in" in out
    assert number.name in err or "Ctrl-C" in err


def test_an_interrupted_run_still_prints_its_json() -> None:
    with started(write([sleeper("a")]), "--json") as process:
        pids(1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")
    assert json.loads(out)["jobs"][0]["state"] == "cancelled"


def test_ctrl_c_at_the_terminal_and_again() -> None:
    file = write([sleeper("a", before="trap '' TERM INT; "), sleeper("b", before="trap '' TERM; ")])
    with Terminal(file) as terminal:
        running = pids(2)
        begin = time.monotonic()
        terminal.type("\x03")
        terminal.wait_for("once again to kill")
        assert not are_gone(running), "they ignore TERM, and have some seconds"
        terminal.type("\x03")
        exit_code, screen = terminal.end()
    assert exit_code == 130
    assert time.monotonic() - begin < 4.5, "the grace is 5 seconds"
    assert "2 cancelled in" in plain(screen)
    assert are_gone(running)
    assert nothing_is_open()


def test_any_number_of_ctrl_c_leaves_nothing_open() -> None:
    with started(write([sleeper("a", before="trap '' TERM; "), task("b", "true", "a")])) as process:
        running = pids(1)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.005)
    assert process.returncode in (130, -signal.SIGINT), "the last may have hit its very end"
    assert are_gone(running)
    assert nothing_is_open()


def test_an_ignored_hangup_stays_ignored() -> None:
    def nohup() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    line = "touch running; until [ -e go ]; do sleep 0.02; done"
    with started(write([task("a", line)]), preexec_fn=nohup) as process:
        until(Path("running").exists)
        process.send_signal(signal.SIGHUP)
        Path("go").touch()
        assert process.wait() == 0


def test_somebody_else_may_cancel_the_batch() -> None:
    with started(write([sleeper("a"), task("b", "true", "a")])) as process:
        running = pids(1)
        with Runyard(background_worker=False) as yard:
            (job,) = yard.list(state="running").jobs
            yard.cancel(job.batch_id)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "2 cancelled in" in out
    assert are_gone(running)


def test_the_jobs_of_a_killed_run_go_on_with_the_next_worker() -> None:
    line = "[ $RUNYARD_ATTEMPT_NUMBER = 2 ] || { echo $$ > a.pid; sleep 120; }"
    with started(write([task("a", line), task("b", "true", "a")])) as process:
        until(lambda: Path("a.pid").exists() and Path("a.pid").read_text())
        running = pids(1)
        process.kill()
        process.wait()
    until(lambda: are_gone(running), "the end of its processes")
    worker = [sys.executable, "-m", "runyard", "worker", "--slots", "1", "--exit-when-idle", "0.5"]
    with subprocess.Popen(worker, stderr=subprocess.DEVNULL) as later:
        with Runyard(background_worker=False) as yard:
            batch = yard.list().jobs[0].batch_id
            jobs = yard.wait([batch], timeout=60)
        later.terminate()
    assert [job.state for job in jobs] == [State.PASSED, State.PASSED]
