"""A worker at work: what it gives a job, and how it goes on after the job has ended."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runyard import Runyard, bootstrap
from runyard.config import SECRET_VARIABLES, Settings
from runyard.domain.event import EventKind
from runyard.domain.job import AttemptState, State
from runyard.engine.worker import WorkerOptions
from tests.support.processes import PATIENCE
from tests.support.working import kinds, work

NO_DELAY = {"retry_delay": 0.0}


class TestEnvironment:
    def test_a_job_knows_its_id_and_attempt(self, yard: Runyard, home: Path) -> None:
        job = yard.submit("echo $RUNYARD_JOB_ID $RUNYARD_ATTEMPT_NUMBER")
        work(home)

        assert yard.logs(job) == (f"{job.id} 1\n", "")

    def test_it_cannot_be_told_otherwise(self, yard: Runyard, home: Path) -> None:
        """Its processes are found by these."""
        env = {"RUNYARD_JOB_ID": "x", "RUNYARD_ATTEMPT": "y"}
        job = yard.submit("echo $RUNYARD_JOB_ID $RUNYARD_ATTEMPT", env=env)
        work(home)

        job_id, key = yard.logs(job)[0].split()
        assert job_id == job.id
        assert key.startswith("worker-")

    @pytest.mark.parametrize("kind", ["shell", "python"])
    def test_it_does_not_get_what_opens_doors(
        self, yard: Runyard, home: Path, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        for name in SECRET_VARIABLES:
            monkeypatch.setenv(name, f"sqlite:///{home}/runyard.db")
        monkeypatch.setenv("HARMLESS", "kept")
        show = {"shell": "env", "python": "import os; print(os.environ)"}[kind]
        job = yard.submit(show, kind=kind)
        raw = yard.submit("tr '\\0' '\\n' </proc/$PPID/environ")
        work(home)

        assert "kept" in yard.logs(job)[0]
        for name in SECRET_VARIABLES:
            assert name not in yard.logs(job)[0]
            assert name not in yard.logs(raw)[0]

    def test_it_starts_where_it_was_submitted(
        self, yard: Runyard, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path)
        jobs = [yard.submit("pwd"), yard.submit("pwd", cwd="below")]
        monkeypatch.chdir("/")
        work(home)

        assert [yard.logs(job)[0].strip() for job in jobs] == [
            str(tmp_path),
            str(tmp_path / "below"),
        ]


class TestOutcome:
    CASES: ClassVar[list[tuple[Any, dict[str, object], str, str | None]]] = [
        (["true"], {}, "passed", None),
        (["false"], {}, "failed", "exit_code"),
        ("kill -9 $$", {}, "failed", "signal"),
        (["no-such-program"], {}, "failed", "not_started"),
        (["true"], {"cwd": "/no/such/place"}, "failed", "not_started"),
        ("sleep 600", {"timeout": 0.1}, "failed", "timeout"),
        ("echo x; sleep 600", {"silent_timeout": 0.2}, "failed", "silent"),
        ("raise SystemExit(3)", {"kind": "python"}, "failed", "exit_code"),
    ]

    def test_each_is_told_apart(self, yard: Runyard, home: Path) -> None:
        jobs = [yard.submit(command, **fields) for command, fields, *_ in self.CASES]
        work(home)

        found = [(job.command, job.state, job.reason) for job in map(yard.get, jobs)]
        assert found == [(command, *outcome) for command, _, *outcome in self.CASES]

    def test_the_reason_why_it_did_not_start_is_kept(self, yard: Runyard, home: Path) -> None:
        job = yard.submit(["no-such-program"])
        work(home)

        (failed,) = [e for e in yard.events(job) if e.kind is EventKind.FAILED]
        assert failed.data["detail"] == "no such command: no-such-program"

    def test_time_and_memory_are_kept(self, yard: Runyard, home: Path) -> None:
        job = yard.submit("for i in range(2_000_000): pass", kind="python")
        work(home)

        (attempt,) = yard.get(job).attempts
        assert (attempt.cpu_seconds or 0) > 0.01
        assert (attempt.max_rss_bytes or 0) > 1 << 20
        assert attempt.started_at is not None
        assert attempt.finished_at is not None
        assert attempt.started_at <= attempt.finished_at


class TestRetry:
    def test_a_job_is_tried_until_it_passes(
        self, yard: Runyard, home: Path, tmp_path: Path
    ) -> None:
        line = "echo x >>tries; [ $(wc -l <tries) -eq 3 ]"
        job = yard.submit(line, cwd=str(tmp_path), max_attempts=5, **NO_DELAY)
        work(home)

        ended = yard.get(job)
        assert [attempt.state for attempt in ended.attempts] == ["failed", "failed", "passed"]
        assert (ended.state, ended.exit_code) == (State.PASSED, 0)

    def test_its_last_failure_counts(self, yard: Runyard, home: Path, tmp_path: Path) -> None:
        line = "echo x >>tries; exit $(wc -l <tries)"
        job = yard.submit(line, cwd=str(tmp_path), max_attempts=3, **NO_DELAY)
        work(home)

        ended = yard.get(job)
        assert (ended.state, ended.exit_code, len(ended.attempts)) == (State.FAILED, 3, 3)
        assert [attempt.exit_code for attempt in ended.attempts] == [1, 2, 3]

    def test_each_attempt_keeps_its_output(self, yard: Runyard, home: Path) -> None:
        line = "echo $RUNYARD_ATTEMPT_NUMBER; exit 1"
        job = yard.submit(line, max_attempts=3, **NO_DELAY)
        work(home)

        assert [yard.logs(job, n)[0] for n in (1, 2, 3)] == ["1\n", "2\n", "3\n"]
        assert yard.logs(job)[0] == "3\n"

    def test_it_waits_longer_before_each_one(self, yard: Runyard, home: Path) -> None:
        """Between half and the whole of 0.2 s, then of 0.4 s."""
        job = yard.submit(["false"], max_attempts=3, retry_delay=0.2)
        work(home)

        one, two, three = yard.get(job).attempts
        first, second = (
            (b.started_at or 0) - (a.finished_at or 0) for a, b in ((one, two), (two, three))
        )
        assert 0.1 <= first < 0.2 + 1
        assert 0.2 <= second < 0.4 + 1
        happened = kinds(yard, job)
        assert happened.count(EventKind.RETRIED) == happened.count(EventKind.PROMOTED) == 2

    def test_only_after_exit_codes_that_are_worth_it(self, yard: Runyard, home: Path) -> None:
        jobs = [
            yard.submit(command, max_attempts=2, retry_on=[75, 76], **NO_DELAY)
            for command in ("exit 75", "exit 1", "kill -9 $$")
        ]
        work(home)

        assert [len(yard.get(job).attempts) for job in jobs] == [2, 1, 1]


class TestDelay:
    def test_a_job_waits_for_its_time_and_an_idle_worker_for_the_job(
        self, yard: Runyard, home: Path
    ) -> None:
        due = time.time() + 0.5
        job = yard.submit(["true"], run_after=due)
        assert job.state is State.DELAYED
        work(home, idle_exit=0.05)

        started = yard.get(job).started_at
        assert started is not None
        assert due <= started < due + 1

    def test_one_whose_time_has_passed_starts_at_once(self, yard: Runyard, home: Path) -> None:
        job = yard.submit(["true"], run_after=time.time() - 10)
        assert job.state is State.QUEUED
        work(home)

        assert yard.get(job).state is State.PASSED


class TestDependencies:
    def test_what_waits_starts_when_all_it_needs_has_passed(
        self, yard: Runyard, home: Path, tmp_path: Path
    ) -> None:
        say = "echo {0} >>said"
        graph = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"], "e": []}
        batch = yard.submit_batch(
            {
                "name": name,
                "command": say.format(name),
                "depends_on": needs,
                "cwd": str(tmp_path),
            }
            for name, needs in graph.items()
        )
        work(home)

        said = (tmp_path / "said").read_text().split()
        assert sorted(said) == sorted(graph)
        for name, needs in graph.items():
            assert all(said.index(need) < said.index(name) for need in needs)
        assert yard.get_batch(batch).passed == 5

    def test_what_needs_a_failure_is_skipped_with_all_behind_it(
        self, yard: Runyard, home: Path
    ) -> None:
        batch = yard.submit_batch(
            [
                {"name": "bad", "command": ["false"]},
                {"name": "next", "command": ["true"], "depends_on": ["bad"]},
                {"name": "last", "command": ["true"], "depends_on": ["next", "good"]},
                {"name": "good", "command": ["true"]},
            ]
        )
        work(home)

        states = {job.name: job.state for job in yard.wait(batch, 5)}
        assert states == {"bad": "failed", "next": "skipped", "last": "skipped", "good": "passed"}


class TestSlots:
    def test_no_more_run_at_once_than_there_are(
        self, yard: Runyard, home: Path, tmp_path: Path
    ) -> None:
        meet = "touch $$.on $$.here; until [ $(ls | grep -c here) -ge 3 ]; do sleep 0.02; done"
        line = f"{meet}; ls *.on | wc -l >>most; sleep 0.05; rm $$.on"
        yard.submit_batch({"command": line, "cwd": str(tmp_path)} for _ in range(20))
        work(home, slots=3)

        most = [int(word) for word in (tmp_path / "most").read_text().split()]
        assert max(most) == 3

    def test_only_jobs_of_its_targets_are_taken(self, yard: Runyard, home: Path) -> None:
        here = yard.submit(["true"], target="emulator")
        there = yard.submit(["true"], target="device")
        work(home, targets=frozenset({"emulator", "browserstack"}))

        assert yard.get(here).state is State.PASSED
        assert yard.get(there).state is State.QUEUED

    def test_higher_priority_starts_first(self, yard: Runyard, home: Path, tmp_path: Path) -> None:
        for name, priority in (("low", 2), ("normal", 5), ("critical", 10), ("high", 8)):
            line = f"echo {name} >>order"
            yard.submit(line, priority=priority, cwd=str(tmp_path))
        work(home, slots=1)

        order = (tmp_path / "order").read_text().split()
        assert order == ["critical", "high", "normal", "low"]


def test_a_job_submitted_while_a_worker_idles_starts_at_once(yard: Runyard, home: Path) -> None:
    settings = Settings.load(home)
    store = bootstrap.open_store(settings)
    options = WorkerOptions(1, poll_seconds=600.0)  # by itself it looks too late for this test
    with bootstrap.worker(settings, store, options) as worker:
        working = threading.Thread(target=worker.run)
        working.start()
        try:
            for _ in range(2):
                yard.wait(yard.submit(["true"]), PATIENCE)
        finally:
            worker.drain()
            working.join()
    store.close()


def test_a_retry_by_hand_runs_a_job_again_with_all_its_attempts(
    yard: Runyard, home: Path, tmp_path: Path
) -> None:
    job = yard.submit("[ -e go ]", cwd=str(tmp_path), max_attempts=2, **NO_DELAY)
    after = yard.submit(["true"], depends_on=[job.id])
    work(home)
    assert [yard.get(j).state for j in (job, after)] == [State.FAILED, State.SKIPPED]
    (tmp_path / "go").touch()
    yard.retry(job)
    work(home)

    ended = yard.get(job)
    assert (ended.state, len(ended.attempts)) == (State.PASSED, 3)
    assert yard.get(after).state is State.PASSED


def test_a_flood_of_output_does_not_stop_others(yard: Runyard, home: Path) -> None:
    flood = yard.submit("yes | head -c 200M")
    others = [yard.submit(["true"]) for _ in range(20)]
    work(home, slots=2)

    assert {yard.get(job).state for job in [flood, *others]} == {State.PASSED}
    out, _ = yard.logs(flood)
    assert len(out) < 65 << 20
    assert out.startswith("y\n")
    assert out.endswith("y\n")
    assert "bytes dropped here" in out


def test_a_job_may_delete_everything_it_can_reach(
    yard: Runyard, home: Path, tmp_path: Path
) -> None:
    """Its own log, and those of others that run: they are lost, but nothing else is."""
    until = "while [ ! -e {0} ]; do sleep 0.02; done; "
    lines = [
        f"echo x; {until.format('ready')} rm -r {home}/logs; touch gone",
        f"echo y; touch ready; {until.format('gone')} true",
    ]
    jobs = [yard.submit(line, cwd=str(tmp_path)) for line in lines]
    work(home)
    jobs.append(yard.submit("echo z"))
    work(home)

    assert {yard.get(job).state for job in jobs} == {State.PASSED}
    assert [yard.logs(job) for job in jobs] == [("", ""), ("", ""), ("z\n", "")]


def test_attempts_leave_no_descriptor_open_in_the_worker(yard: Runyard, home: Path) -> None:
    work(home)
    before = open_files()
    yard.submit_batch({"command": ["true"]} for _ in range(30))
    work(home)

    assert not open_files() - before


def open_files() -> Counter[str]:
    """But for the database: SQLite itself closes some later, where a process has several."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{name}").partition(":")[0])
    return Counter(path for path in found if "runyard.db" not in path and "/proc/" not in path)


def test_losses_do_not_use_up_attempts(yard: Runyard, home: Path, tmp_path: Path) -> None:
    """Killing its launcher is not a failure of the job's own."""
    line = "echo x >>tries; n=$(wc -l <tries); [ $n -gt 1 ] || kill -9 $PPID; [ $n -gt 2 ]"
    job = yard.submit(line, cwd=str(tmp_path), max_attempts=2, **NO_DELAY)
    work(home, slots=1)

    ended = yard.get(job)
    assert ended.state is State.PASSED
    assert [attempt.state for attempt in ended.attempts] == [
        AttemptState.LOST,
        AttemptState.FAILED,
        AttemptState.PASSED,
    ]
