"""Whatever dies, nothing is lost, nothing runs twice at once and nothing stays behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.domain.event import EventKind
from runyard.domain.job import AttemptState, State
from runyard.engine.places import AHEAD
from runyard.execution.attempt import GRACE
from tests.support.processes import PATIENCE, are_gone, eventually, is_alive
from tests.support.working import (
    NO_LEASE_ENDS,
    WorkerProcess,
    ended_once,
    kinds,
    locked,
    met,
    starts,
    wait_for_file,
    words_of,
)


class TestLauncher:
    def test_its_worker_starts_another_and_what_ran_runs_again(
        self, yard: Runyard, tmp_path: Path
    ) -> None:
        waiting = "while [ ! -e go ]; do sleep 0.02; done"
        jobs = [
            yard.submit(locked(tmp_path, f"job{n}", waiting), cwd=str(tmp_path)) for n in (1, 2)
        ]
        with WorkerProcess(lease=NO_LEASE_ENDS) as worker:
            first = [int(words_of(tmp_path / f"job{n}.started")[0]) for n in (1, 2)]
            launcher = worker.launcher

            os.kill(launcher, signal.SIGKILL)

            eventually(lambda: starts(tmp_path, "job1") == starts(tmp_path, "job2") == 2)
            assert are_gone(*first)
            assert worker.launcher != launcher
            (tmp_path / "go").touch()
            ended = yard.wait(jobs, PATIENCE)

        assert [job.state for job in ended] == [State.PASSED] * 2
        for job in ended:
            states = [attempt.state for attempt in job.attempts]
            assert states == [AttemptState.LOST, AttemptState.PASSED]
        assert met(tmp_path) == []

    def test_jobs_that_kill_it_every_time_fail_as_lost(self, yard: Runyard) -> None:
        """A job may be what kills it, say by using up the memory: it is not tried for ever."""
        job = yard.submit("kill -9 $PPID; sleep 600")
        with WorkerProcess(slots=1, lease=NO_LEASE_ENDS):
            ended = yard.wait(job, PATIENCE)
            assert ended.state is State.FAILED
            assert ended.reason == "lost"
            assert [attempt.state for attempt in ended.attempts] == [AttemptState.LOST] * 3
            assert yard.wait(yard.submit(["true"]), PATIENCE).state is State.PASSED


class TestWorker:
    def test_its_jobs_are_killed_at_once_and_run_again_as_soon_as_there_is_another(
        self, yard: Runyard, tmp_path: Path
    ) -> None:
        line = (
            "trap '' TERM; setsid sleep 600 & echo $! >>daemon; "
            "while [ ! -e go ]; do sleep 0.02; done"
        )
        job = yard.submit(locked(tmp_path, "job", line), cwd=str(tmp_path))
        with WorkerProcess(lease=NO_LEASE_ENDS) as worker:
            pids = [int(words_of(tmp_path / name)[0]) for name in ("job.started", "daemon")]
            launcher = worker.launcher
            begun = time.monotonic()
            worker.kill()
            eventually(lambda: are_gone(*pids, launcher))
            assert time.monotonic() - begun < GRACE * 0.8

        (tmp_path / "go").touch()
        with WorkerProcess(lease=NO_LEASE_ENDS):
            assert yard.wait(job, PATIENCE).state is State.PASSED

        assert met(tmp_path) == []
        assert kinds(yard, job).count(EventKind.LOST) == 1

    def test_in_the_middle_of_much_work_another_finishes_all_of_it(
        self, any_yard: Runyard, tmp_path: Path
    ) -> None:
        (tmp_path / "jobs").mkdir()
        batch = any_yard.submit_batch(
            {"command": locked(tmp_path / "jobs", f"{n}", "sleep 0.01")} for n in range(500)
        )
        with WorkerProcess(slots=4) as first, WorkerProcess(slots=4) as second:
            eventually(lambda: any_yard.get_batch(batch).passed > 100)
            launcher = first.launcher
            first.kill()
            eventually(lambda: are_gone(launcher))
            jobs = any_yard.wait(batch, 60)
            second.send(signal.SIGTERM)
            assert second.wait() == 0

        assert {job.state for job in jobs} == {State.PASSED}
        ended_once(any_yard, jobs)
        assert met(tmp_path / "jobs") == []
        lost = [job for job in jobs if len(job.attempts) > 1]
        assert len(lost) <= 4 * (1 + AHEAD)
        for job in jobs:
            ended = [attempt.state for attempt in job.attempts]
            assert ended == [AttemptState.LOST] * (len(ended) - 1) + [AttemptState.PASSED]
        counted = any_yard.get_batch(batch)
        assert (counted.passed, counted.waiting, counted.running) == (500, 0, 0)


class TestBoth:
    def test_the_next_worker_ends_what_they_left_and_runs_it_at_once(
        self, yard: Runyard, tmp_path: Path
    ) -> None:
        line = (
            "setsid sh -c 'echo $$ >>other; exec sleep 600' & echo $! >>other; "
            "while [ ! -e go ]; do sleep 0.02; done"
        )
        job = yard.submit(locked(tmp_path, "job", line), cwd=str(tmp_path))
        snippet = (
            "import os, time; from pathlib import Path\n"
            "Path('snippet').open('a').write(f'{os.getpid()} \\n')\n"
            "while not Path('go').exists(): time.sleep(0.02)"
        )
        other = yard.submit(snippet, kind="python", cwd=str(tmp_path))
        with WorkerProcess(lease=NO_LEASE_ENDS) as worker:
            wait_for_file(tmp_path / "job.started", tmp_path / "other", tmp_path / "snippet")
            launcher = worker.launcher
            os.kill(worker.pid, signal.SIGSTOP)  # or it would see its launcher go
            os.kill(launcher, signal.SIGKILL)
            worker.kill()
        names = ("job.started", "other", "snippet")
        left = [int(word) for name in names for word in (tmp_path / name).read_text().split()]
        assert all(map(is_alive, left))

        with WorkerProcess(lease=NO_LEASE_ENDS):
            eventually(lambda: starts(tmp_path, "job") == 2)
            assert are_gone(*left)
            (tmp_path / "go").touch()
            assert {ended.state for ended in yard.wait([job, other], PATIENCE)} == {State.PASSED}

        assert met(tmp_path) == []

    def test_the_live_worker_of_another_home_is_left_alone(
        self, yard: Runyard, tmp_path: Path
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        mine = yard.submit(locked(tmp_path, "mine", "sleep 600"))
        with Runyard(elsewhere, background_worker=False) as other:
            its = other.submit(locked(tmp_path, "its", "sleep 600"))
            with WorkerProcess(home=elsewhere, lease=NO_LEASE_ENDS) as neighbour:
                wait_for_file(tmp_path / "its.started")
                with WorkerProcess(lease=NO_LEASE_ENDS) as worker:
                    wait_for_file(tmp_path / "mine.started")
                    launcher = worker.launcher
                    os.kill(worker.pid, signal.SIGSTOP)
                    os.kill(launcher, signal.SIGKILL)
                    worker.kill()
                with WorkerProcess(lease=NO_LEASE_ENDS):
                    eventually(lambda: starts(tmp_path, "mine") == 2)

                    assert other.get(its).state is State.RUNNING
                    assert starts(tmp_path, "its") == 1
                    yard.cancel(mine)
                    yard.wait(mine, PATIENCE)
                other.cancel(its)
                other.wait(its, PATIENCE)
                assert neighbour.process.poll() is None


def test_a_worker_may_come_and_go_while_a_file_of_a_dead_one_cannot_be_read(
    yard: Runyard, home: Path
) -> None:
    (home / "run" / "worker-old.ledger").write_bytes(b"\xff\x00nonsense\n" * 9)
    (home / "run" / "worker-old.wake").write_bytes(b"not a pipe")
    job = yard.submit(["true"])

    with WorkerProcess("--exit-when-idle", "0.1") as worker:
        assert yard.wait(job, PATIENCE).state is State.PASSED
        assert worker.wait() == 0

    eventually(lambda: not (home / "run" / "worker-old.ledger").exists(), 1)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_snippet_that_dies_takes_nobody_with_it(yard: Runyard, number: signal.Signals) -> None:
    jobs = [
        yard.submit(f"import os; os.kill(os.getpid(), {number.value})", kind="python"),
        yard.submit("print(1)", kind="python"),
    ]
    with WorkerProcess() as worker:
        died, other = yard.wait(jobs, PATIENCE)
        assert worker.process.poll() is None

    assert (died.state, died.reason, died.attempts[0].signal) == ("failed", "signal", number.value)
    assert other.state is State.PASSED
