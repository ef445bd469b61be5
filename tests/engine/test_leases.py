"""A lease is a deadline: who cannot renew it in time ends what it runs, before others may start
it."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, update

from runyard import Runyard
from runyard.domain.event import EventKind
from runyard.domain.job import AttemptState, Job, State
from runyard.errors import StoreError
from runyard.store import claim as claims
from runyard.store.claim import Claimer
from runyard.store.database import Store
from runyard.store.schema import jobs
from runyard.store.yard import FreeSlot
from tests.support import outage
from tests.support.postgres import PostgresKeeper, database
from tests.support.processes import PATIENCE, are_gone, eventually, is_alive, state_of
from tests.support.working import (
    WorkerProcess,
    ended_once,
    kinds,
    locked,
    met,
    starts,
    words_of,
)

LEASE = 2.0
UNTIL_GO = "while [ ! -e go ]; do sleep 0.02; done"


def lease_until(yard: Runyard, job: Job) -> float:
    with yard._here.store.read() as tx:
        return tx.conn.execute(select(jobs.c.lease_until).where(jobs.c.id == job.id)).scalar_one()


def stop_between_transactions(worker: WorkerProcess, yard: Runyard) -> None:
    """SIGSTOP, but not while it holds locks in the database: others would wait for those."""
    while True:
        worker.send(signal.SIGSTOP)
        eventually(lambda: state_of(worker.pid) == "T")
        if not is_in_transaction(yard):
            return
        worker.send(signal.SIGCONT)
        time.sleep(0.05)


def is_in_transaction(yard: Runyard) -> bool:
    url = yard._here.store.url
    if url.startswith("sqlite"):
        other = sqlite3.connect(yard.home / "runyard.db", timeout=0.2, isolation_level=None)
        with contextlib.closing(other):
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            other.execute("ROLLBACK")
            return False
    time.sleep(0.1)  # for what the server does by itself when it has been asked
    with yard._here.store.read() as tx:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        return bool(tx.conn.exec_driver_sql(query).scalar())


class TestStoppedWorker:
    def test_its_jobs_end_before_others_may_have_them_and_its_late_result_is_refused(
        self, any_yard: Runyard, tmp_path: Path
    ) -> None:
        job = any_yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
        with WorkerProcess(lease=LEASE) as slow:
            first = int(words_of(tmp_path / "job.started")[0])
            launcher = slow.launcher
            stop_between_transactions(slow, any_yard)
            until = lease_until(any_yard, job)
            with WorkerProcess(lease=LEASE) as other:
                eventually(lambda: not is_alive(first))
                assert is_alive(launcher)
                eventually(lambda: starts(tmp_path, "job") == 2)
                assert time.time() >= until

                slow.send(signal.SIGCONT)

                eventually(lambda: EventKind.REFUSED in kinds(any_yard, job))
                assert any_yard.get(job).attempts[-1].worker == other.id
                (tmp_path / "go").touch()
                ended = any_yard.wait(job, PATIENCE)

        assert met(tmp_path) == []
        assert [attempt.state for attempt in ended.attempts] == ["lost", "passed"]
        assert starts(tmp_path, "job") == 2
        ended_once(any_yard, [job])

    def test_it_goes_on_afterwards_and_loses_only_what_it_ran(self, yard: Runyard) -> None:
        """It must not start anything before it has renewed: that would be killed at once, again
        and again, until it failed as lost."""
        running = [yard.submit("sleep 600") for _ in range(2)]
        batch = yard.submit_batch({"command": ["true"]} for _ in range(60))
        with WorkerProcess(lease=LEASE) as worker:
            eventually(lambda: {yard.get(job).state for job in running} == {State.RUNNING})
            stop_between_transactions(worker, yard)
            until = max(lease_until(yard, job) for job in running) + LEASE / 4
            eventually(lambda: time.time() > until)
            worker.send(signal.SIGCONT)
            eventually(lambda: all(len(yard.get(job).attempts) > 1 for job in running))
            yard.cancel(running)
            ended = yard.wait(batch, PATIENCE)

        assert {job.state for job in ended} == {State.PASSED}
        assert {len(job.attempts) for job in ended} == {1}


class TestLockedDatabase:
    @pytest.fixture
    def lock(self, home: Path, yard: Runyard) -> Iterator[sqlite3.Connection]:
        """Another program's hold on the database; it must be let go of in time."""
        connection = sqlite3.connect(home / "runyard.db", isolation_level=None)
        yield connection
        connection.close()

    def test_jobs_do_not_notice_a_short_one(
        self, yard: Runyard, tmp_path: Path, lock: sqlite3.Connection
    ) -> None:
        job = yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
        with WorkerProcess(lease=4 * LEASE):
            words_of(tmp_path / "job.started")
            lock.execute("BEGIN IMMEDIATE")
            time.sleep(LEASE)
            lock.execute("ROLLBACK")
            (tmp_path / "go").touch()

            assert [attempt.state for attempt in yard.wait(job, PATIENCE).attempts] == ["passed"]

    def test_jobs_are_ended_in_one_that_outlasts_the_lease_and_run_again(
        self, yard: Runyard, tmp_path: Path, lock: sqlite3.Connection
    ) -> None:
        job = yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
        with WorkerProcess(lease=LEASE):
            first = int(words_of(tmp_path / "job.started")[0])
            lock.execute("BEGIN IMMEDIATE")
            until = lease_until(yard, job)
            eventually(lambda: not is_alive(first))
            assert time.time() < until + LEASE
            lock.execute("ROLLBACK")
            (tmp_path / "go").touch()

            ended = yard.wait(job, PATIENCE)
            assert [attempt.state for attempt in ended.attempts] == ["lost", "passed"]
            assert yard.wait(yard.submit(["true"]), PATIENCE).state is State.PASSED

        assert met(tmp_path) == []

    def test_a_result_is_kept_until_it_can_be_saved(
        self, yard: Runyard, tmp_path: Path, lock: sqlite3.Connection
    ) -> None:
        job = yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
        with WorkerProcess():
            first = int(words_of(tmp_path / "job.started")[0])
            lock.execute("BEGIN IMMEDIATE")
            (tmp_path / "go").touch()
            eventually(lambda: are_gone(first))
            time.sleep(0.5)
            lock.execute("ROLLBACK")

            assert [attempt.state for attempt in yard.wait(job, PATIENCE).attempts] == ["passed"]


class TestPostgresqlAway:
    @pytest.fixture
    def server(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """A server of this test's own, named in the environment."""
        with PostgresKeeper(durable=False) as keeper, database(keeper.home) as url:
            monkeypatch.setenv("RUNYARD_DATABASE_URL", url)
            yield keeper.home

    def test_jobs_go_on_and_every_result_is_saved(self, server: Path, tmp_path: Path) -> None:
        """Stopped twice under load, in the middle of claims and finishes; the lease outlasts it."""
        with Runyard(background_worker=False) as yard:
            batch = yard.submit_batch(
                {"command": locked(tmp_path, f"{n}", "sleep 0.02")} for n in range(150)
            )
            with WorkerProcess(slots=3) as one, WorkerProcess(slots=3) as other:
                for passed in (20, 70):
                    eventually(lambda passed=passed: progress(yard, batch.id) >= passed)
                    outage.stop(server)
                    time.sleep(0.5)
                    outage.start(server)
                eventually(lambda: progress(yard, batch.id) == 150, 60)
                ended = yard.wait(batch, PATIENCE)
                for worker in (one, other):
                    worker.send(signal.SIGTERM)
                    assert worker.wait() == 0

            assert {job.state for job in ended} == {State.PASSED}
            ended_once(yard, ended)
            assert met(tmp_path) == []
            assert sum(starts(tmp_path, f"{n}") for n in range(150)) <= 150 + 2 * 6

    def test_jobs_are_ended_when_it_outlasts_the_lease_and_run_again(
        self, server: Path, tmp_path: Path
    ) -> None:
        with Runyard(background_worker=False) as yard:
            job = yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
            with WorkerProcess(lease=LEASE):
                first = int(words_of(tmp_path / "job.started")[0])
                outage.stop(server)
                eventually(lambda: not is_alive(first))
                outage.start(server)
                (tmp_path / "go").touch()
                eventually(lambda: passed(yard, job), 30)

            states = [attempt.state for attempt in yard.get(job).attempts]
            # Lost at least once: on a slow machine a second lease may end as well.
            assert states[-1] is AttemptState.PASSED
            assert set(states[:-1]) == {AttemptState.LOST}
            assert met(tmp_path) == []


def progress(yard: Runyard, batch: str) -> int:
    """How many have passed; -1 while the server cannot tell."""
    try:
        return yard.get_batch(batch).passed
    except StoreError:
        return -1


def passed(yard: Runyard, job: Job) -> bool:
    try:
        return yard.get(job).state is State.PASSED
    except StoreError:
        return False


def test_a_claim_of_which_its_worker_never_heard_is_given_back(yard: Runyard) -> None:
    """The server saved it, and the connection broke before it could say so: renewed with all the
    others, it would neither run nor end."""
    blocker = yard.submit("sleep 600")
    with WorkerProcess(slots=1, lease=LEASE) as worker:
        eventually(lambda: yard.get(blocker).state is State.RUNNING)
        job = yard.submit(["true"])
        claim_for(yard._here.store, worker.id)
        assert yard.get(job).state is State.RUNNING
        yard.cancel(blocker)

        ended = yard.wait(job, PATIENCE)

    assert [attempt.state for attempt in ended.attempts] == [AttemptState.PASSED]
    assert kinds(yard, ended)[-3:] == [EventKind.RELEASED, EventKind.CLAIMED, EventKind.PASSED]


def claim_for(store: Store, worker: str) -> None:
    store.write(lambda tx: claims.claim(tx, Claimer(worker, LEASE), [FreeSlot("2")]))


def test_a_claim_that_the_store_forgot_is_ended_before_the_job_runs_again(
    yard: Runyard, tmp_path: Path
) -> None:
    """As after a crash of its host: the job is queued again, and the next claim has the fence that
    the forgotten one had."""
    job = yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
    store = yard._here.store
    before = store.write(lambda tx: tx.conn.execute(select(jobs)).mappings().one())
    with WorkerProcess(slots=2):
        first = int(words_of(tmp_path / "job.started")[0])
        store.write(lambda tx: tx.conn.execute(update(jobs).values(**before)))
        eventually(lambda: not is_alive(first))
        (tmp_path / "go").touch()

        assert yard.wait(job, PATIENCE).state is State.PASSED
    assert met(tmp_path) == []


def test_a_worker_that_was_only_slow_is_not_robbed(yard: Runyard, tmp_path: Path) -> None:
    """Stopped for less than a lease, again and again, with another worker waiting for it."""
    job = yard.submit(locked(tmp_path, "job", UNTIL_GO), cwd=str(tmp_path))
    with WorkerProcess(lease=LEASE) as slow:
        words_of(tmp_path / "job.started")
        with WorkerProcess(lease=LEASE):
            for _ in range(2):
                slow.send(signal.SIGSTOP)
                time.sleep(0.4)
                slow.send(signal.SIGCONT)
                time.sleep(0.4)
            (tmp_path / "go").touch()

            assert [attempt.worker for attempt in yard.wait(job, PATIENCE).attempts] == [slow.id]


def test_nothing_is_renewed_by_a_worker_that_has_left(yard: Runyard) -> None:
    with WorkerProcess("--exit-when-idle", "0.1", lease=LEASE) as worker:
        assert worker.wait() == 0
        assert os.listdir(yard.home / "run") == []
