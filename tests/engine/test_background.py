"""The background worker: there is one when it is needed, one at most, and none for long."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from runyard import Runyard, bootstrap
from runyard.cli.session import session
from runyard.cli.worker import IDLE_SECONDS, _run_in_background
from runyard.config import Settings
from runyard.domain.job import State
from runyard.engine import presence
from runyard.engine.worker import WorkerOptions
from runyard.execution.strays import KEY_VARIABLE
from tests.support.background import background_workers
from tests.support.processes import PATIENCE, eventually
from tests.support.working import in_state, wait_for_file, work


@pytest.fixture
def served(home: Path) -> Iterator[Runyard]:
    """A client that starts a background worker when it is needed."""
    with Runyard() as yard:
        yield yard


def test_many_that_submit_at_once_start_one(home: Path, served: Runyard) -> None:
    submits = [
        subprocess.Popen(
            [sys.executable, "-m", "runyard", "submit", "true"], stdout=subprocess.PIPE, text=True
        )
        for _ in range(20)
    ]
    ids = [submit.communicate(timeout=60)[0].strip() for submit in submits]
    assert len(set(ids)) == 20

    assert {job.state for job in served.wait(ids, PATIENCE)} == {State.PASSED}

    workers = {attempt.worker for job in served.list().jobs for attempt in job.attempts}
    assert len(workers) == 1
    assert len(background_workers(home)) == 1


def test_of_many_threads_that_ask_for_one_a_single_one_is_told_that_it_was_started(
    home: Path, served: Runyard
) -> None:
    settings = Settings.load()
    started = []
    threads = [
        threading.Thread(target=lambda: started.append(bootstrap.ensure_worker(settings)))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(started) == [False] * 19 + [True]
    assert served.wait(served.submit(["true"]), PATIENCE).state is State.PASSED


def test_one_that_was_killed_is_replaced_while_somebody_waits(
    home: Path, served: Runyard, tmp_path: Path
) -> None:
    job = served.submit("touch on; while [ ! -e go ]; do sleep 0.02; done", cwd=str(tmp_path))
    wait_for_file(tmp_path / "on")
    (pid,) = background_workers(home)
    os.kill(pid, signal.SIGKILL)
    (tmp_path / "go").touch()

    ended = served.wait(job, PATIENCE)

    assert [attempt.state for attempt in ended.attempts] == ["lost", "passed"]


def test_a_foreground_worker_is_enough(home: Path, served: Runyard) -> None:
    command = [sys.executable, "-m", "runyard", "worker"]
    worker = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    eventually(lambda: presence.is_served(home / "run"))
    assert served.wait(served.submit(["true"]), PATIENCE).state is State.PASSED
    assert background_workers(home) == []
    worker.terminate()
    assert worker.wait(20) == 0


def test_a_client_that_asks_for_none_gets_none(home: Path) -> None:
    with Runyard(background_worker=False) as yard:
        yard.submit(["true"])

    assert background_workers(home) == []
    assert not presence.is_served(home / "run")


def test_it_is_no_part_of_the_job_that_started_it(
    home: Path, served: Runyard, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (KEY_VARIABLE, "RUNYARD_JOB_ID", "RUNYARD_ATTEMPT_NUMBER"):
        monkeypatch.setenv(name, "of another")
    served.wait(served.submit(["true"]), PATIENCE)

    (pid,) = background_workers(home)
    environment = psutil.Process(pid).environ()
    assert environment["RUNYARD_HOME"] == str(home)
    assert "of another" not in environment.values()


def test_it_holds_on_to_nothing_of_the_process_that_started_it(
    home: Path, served: Runyard, tmp_path: Path
) -> None:
    """Or a shell that reads the output of a submit would wait for the worker's end."""
    command = f"cd {tmp_path} && {sys.executable} -m runyard submit true | cat"
    within = IDLE_SECONDS * 0.8
    subprocess.run(["sh", "-c", command], check=True, timeout=within, stdout=subprocess.DEVNULL)

    (pid,) = background_workers(home)
    assert psutil.Process(pid).cwd() == str(home)
    assert os.getsid(pid) == pid


class TestLeaving:
    """Each job is submitted by somebody who starts a worker only if none is there, and then goes
    away: whether the worker is about to leave just then must not matter."""

    OPTIONS = WorkerOptions(2, idle_exit=0.02, poll_seconds=0.01)

    def test_no_job_is_stranded(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted: list[int] = []
        monkeypatch.setattr(
            bootstrap, "_start_in_background", lambda _, fd, __: wanted.append(os.dup(fd))
        )
        stranded: list[str] = []
        ended = threading.Event()

        def submit() -> None:
            with Runyard() as yard, Runyard(background_worker=False) as looker:
                for n in range(16):
                    due = time.time() + 0.05 if n % 2 else None
                    job = yard.submit(["true"], run_after=due)
                    deadline = time.monotonic() + PATIENCE
                    while looker.get(job).state is not State.PASSED:
                        if time.monotonic() > deadline:
                            stranded.append(job.id)
                            break
                        time.sleep(0.003)
                    time.sleep(random.uniform(0, 0.2))
            ended.set()

        submitting = threading.Thread(target=submit)
        submitting.start()
        with session() as here:
            while not ended.is_set():  # what a process of its own does, here one after the other
                if wanted:
                    _run_in_background(here, self.OPTIONS, wanted.pop())
                time.sleep(0.001)
        submitting.join()

        assert stranded == []

    def test_it_leaves_when_it_has_been_idle_and_takes_its_marks_with_it(self, home: Path) -> None:
        with session() as here:
            here.jobs.need_worker()
            lock = presence.take_background_lock(home / "run")
            _run_in_background(here, self.OPTIONS, lock)

        assert os.listdir(home / "run") == ["background.lock"]
        assert not presence.is_served(home / "run")


def test_whether_a_worker_is_needed(home: Path) -> None:
    with Runyard(background_worker=False) as yard, session() as here:
        assert not here.jobs.need_worker()
        job = yard.submit(["true"], run_after=time.time() + 3600)
        assert here.jobs.need_worker()
        yard.cancel(job)
        assert not here.jobs.need_worker()
        job = yard.submit(["true"])
        assert here.jobs.need_worker()
        work(home)
        assert in_state(yard, job, State.PASSED)()
        assert not here.jobs.need_worker()
