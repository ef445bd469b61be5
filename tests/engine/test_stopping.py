"""How a worker is asked to stop, and what becomes of what it runs."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.domain.event import EventKind
from runyard.domain.job import AttemptState, State
from runyard.engine.worker import STOP_GRACE
from tests.support.processes import PATIENCE, are_gone, eventually
from tests.support.working import (
    NO_LEASE_ENDS,
    WorkerProcess,
    kinds,
    locked,
    met,
    starts,
    wait_for_file,
    wait_until,
    words_of,
)

UNTIL_GO = "while [ ! -e go ]; do sleep 0.02; done"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_asked_once_it_lets_what_runs_finish_and_takes_nothing_new(
    yard: Runyard, tmp_path: Path, number: signal.Signals
) -> None:
    job = yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
    with WorkerProcess(slots=2, lease=NO_LEASE_ENDS) as worker:
        words_of(tmp_path / "job.started")
        worker.send(number)
        late = yard.submit(["true"])
        time.sleep(0.3)
        assert yard.get(late).state is State.QUEUED
        (tmp_path / "go").touch()
        assert worker.wait() == 0

    assert yard.get(job).state is State.PASSED
    assert yard.get(late).state is State.QUEUED


def test_asked_twice_it_ends_what_runs_and_gives_it_back_at_no_cost(
    yard: Runyard, tmp_path: Path
) -> None:
    job = yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
    with WorkerProcess(lease=NO_LEASE_ENDS) as worker:
        pid = int(words_of(tmp_path / "job.started")[0])
        worker.send(signal.SIGTERM)
        worker.send(signal.SIGINT)  # a second one of the same number might merge with the first
        assert worker.wait() == 0
        assert are_gone(pid)

    given_back = yard.get(job)
    assert given_back.state is State.QUEUED
    assert [attempt.state for attempt in given_back.attempts] == [AttemptState.RELEASED]
    (tmp_path / "go").touch()
    with WorkerProcess():
        assert yard.wait(job, PATIENCE).state is State.PASSED  # of one attempt that it may have
    assert kinds(yard, job).count(EventKind.RELEASED) == 1
    assert met(tmp_path) == []


def test_when_its_time_to_drain_is_over_what_still_runs_is_given_back(
    yard: Runyard, tmp_path: Path
) -> None:
    line = "trap 'echo tidied >>tidied; exit 1' TERM; touch listening; " + UNTIL_GO
    job = yard.submit(locked(tmp_path, "job", line), cwd=str(tmp_path))
    with WorkerProcess("--drain", "300ms", lease=NO_LEASE_ENDS) as worker:
        wait_for_file(tmp_path / "listening")
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0

    assert (tmp_path / "tidied").exists()
    assert yard.get(job).state is State.QUEUED
    assert yard.get(job).attempts[-1].state == "released"


def test_a_second_request_shortens_the_grace_of_what_does_not_listen(
    yard: Runyard, tmp_path: Path
) -> None:
    line = "trap '' TERM; touch deaf; " + UNTIL_GO
    job = yard.submit(locked(tmp_path, "job", line), cwd=str(tmp_path))
    with WorkerProcess("--drain", "100ms", lease=NO_LEASE_ENDS) as worker:
        wait_for_file(tmp_path / "deaf")
        pid = int(words_of(tmp_path / "job.started")[0])
        begun = time.monotonic()
        worker.send(signal.SIGTERM)
        time.sleep(0.5)
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0
        assert time.monotonic() - begun < STOP_GRACE
        assert are_gone(pid)

    assert yard.get(job).state is State.QUEUED


def test_it_leaves_nothing_on_the_disk(yard: Runyard, home: Path) -> None:
    job = yard.submit(["true"])
    with WorkerProcess() as worker:
        yard.wait(job, PATIENCE)
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0

    assert os.listdir(home / "run") == []


def test_one_that_does_nothing_stops_at_once(yard: Runyard) -> None:
    with WorkerProcess() as worker:
        eventually(lambda: worker.launcher)
        begun = time.monotonic()
        worker.send(signal.SIGTERM)
        assert worker.wait() == 0
        assert time.monotonic() - begun < 15  # it would drain for 30


class TestCancel:
    def test_another_process_ends_a_running_job_within_moments(
        self, any_yard: Runyard, tmp_path: Path
    ) -> None:
        """And not only when the worker renews its leases, which is minutes away."""
        job = any_yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path), max_attempts=3)
        with WorkerProcess(lease=NO_LEASE_ENDS):
            pid = int(words_of(tmp_path / "job.started")[0])
            any_yard.cancel(job)
            eventually(lambda: are_gone(pid))
            wait_until(any_yard, job, State.CANCELLED)

        assert starts(tmp_path, "job") == 1
        happened = kinds(any_yard, job)
        assert happened[-2:] == [EventKind.CANCEL_REQUESTED, EventKind.CANCELLED]

    def test_of_many_jobs_each_ends_cancelled_or_passed_and_none_runs_on(
        self, yard: Runyard, tmp_path: Path
    ) -> None:
        """Some wait, some run, some end just then."""
        batch = yard.submit_batch(
            {"command": locked(tmp_path, f"{n}", "sleep 0.05")} for n in range(60)
        )
        with WorkerProcess(slots=4):
            eventually(lambda: yard.get_batch(batch).passed > 10)
            yard.cancel(batch)
            ended = yard.wait(batch, PATIENCE)

        states = {job.state for job in ended}
        assert states == {State.PASSED, State.CANCELLED}
        for n, job in enumerate(ended):
            if job.state is State.PASSED:
                assert starts(tmp_path, f"{n}") == 1
        counted = yard.get_batch(batch)
        assert counted.passed + counted.cancelled == 60

    def test_a_job_whose_worker_has_died_is_cancelled_by_the_next(
        self, yard: Runyard, tmp_path: Path
    ) -> None:
        job = yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
        with WorkerProcess(lease=NO_LEASE_ENDS) as worker:
            words_of(tmp_path / "job.started")
            worker.kill()
        yard.cancel(job)
        assert yard.get(job).state is State.RUNNING

        with WorkerProcess(lease=NO_LEASE_ENDS):
            wait_until(yard, job, State.CANCELLED)

        assert starts(tmp_path, "job") == 1
