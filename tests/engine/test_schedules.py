"""Workers run what schedules have due, and one stays in the background for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import update

from runyard import Runyard, bootstrap
from runyard.cli.session import session
from runyard.cli.worker import _run_in_background
from runyard.config import Settings
from runyard.domain.job import State
from runyard.domain.timetable import Schedule
from runyard.engine import presence
from runyard.engine.worker import WorkerOptions
from runyard.service.schedules import Schedules
from runyard.store.database import Store
from runyard.store.template_tables import schedules
from tests.support.processes import eventually
from tests.support.working import WorkerProcess, work


@contextmanager
def store_of() -> Iterator[tuple[Settings, Store]]:
    settings = Settings.load()
    store = bootstrap.open_store(settings)
    try:
        yield settings, store
    finally:
        store.close()


def due_in(seconds: float, directory: Path) -> Schedule:
    """A schedule that is due after so many seconds, and then not for long."""
    with store_of() as (settings, store):
        templates = bootstrap.templates(settings, store)
        templates.save("t", {"command": "echo x >>ran"}, directory=str(directory))
        known: Schedules = bootstrap.schedules(settings, store)
        added = known.add("yearly", "t", "0 0 29 2 *")
        store.write(lambda tx: tx.conn.execute(update(schedules).values(next_at=tx.now + seconds)))
        return added


def pause() -> None:
    with store_of() as (settings, store):
        bootstrap.schedules(settings, store).pause("yearly")
        presence.wake_workers(settings.home.run)


def test_of_several_workers_one_runs_it(any_yard: Runyard, tmp_path: Path) -> None:
    with ExitStack() as workers:
        for _ in range(3):
            workers.enter_context(WorkerProcess())
        due_in(0.5, tmp_path)
        eventually(lambda: any_yard.list(state=State.PASSED).jobs)
    (job,) = any_yard.list().jobs

    assert job.labels == {"template": "t", "schedule": "yearly"}
    assert (tmp_path / "ran").read_text() == "x\n"
    assert job.batch_id is not None
    assert any_yard.get_batch(job.batch_id).passed == 1


def test_the_background_worker_stays_as_long_as_there_is_one(
    yard: Runyard, home: Path, tmp_path: Path
) -> None:
    options = WorkerOptions(2, idle_exit=0.02, poll_seconds=0.01, keeps_time=True)
    due_in(1.5, tmp_path)
    seen: list[bool] = []

    def watch() -> None:
        eventually(lambda: yard.list(state=State.PASSED).jobs)
        seen.append(presence.is_served(home / "run"))
        pause()

    watching = threading.Thread(target=watch)
    watching.start()
    with session() as here:
        assert here.jobs.need_worker()
        _run_in_background(here, options, presence.take_background_lock(home / "run"))
    watching.join()

    assert seen == [True]
    assert not presence.is_served(home / "run")
    assert len(yard.list().jobs) == 1


def test_others_leave_when_they_are_idle(yard: Runyard, home: Path, tmp_path: Path) -> None:
    due_in(3600, tmp_path)
    begun = time.monotonic()
    work(home)

    assert time.monotonic() - begun < 60
    assert yard.list().jobs == []


def test_a_worker_of_one_run_does_nothing_for_others(
    yard: Runyard, home: Path, tmp_path: Path
) -> None:
    due_in(-1, tmp_path)
    work(home, reserved=True)
    assert yard.list().jobs == []
    work(home, idle_exit=2.0)

    assert [job.state for job in yard.list().jobs] == [State.PASSED]


@pytest.mark.usefixtures("yard")
def test_whether_a_worker_is_needed(home: Path, tmp_path: Path) -> None:
    with session() as here:
        assert not here.jobs.need_worker()
        due_in(3600, tmp_path)
        assert here.jobs.need_worker()
        pause()
        assert not here.jobs.need_worker()
