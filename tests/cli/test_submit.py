"""``runyard submit``: what is asked for, and what it says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard import JobSpec, Runyard
from runyard.clock import isoformat
from runyard.domain.job import Job, State
from runyard.store import views
from tests.support.commands import call, quiet_home, runyard, start, submitted
from tests.support.processes import eventually
from tests.support.working import WorkerProcess, work

pytestmark = pytest.mark.usefixtures("way")
LOCALLY = pytest.mark.parametrize("way", ["local"], indirect=True)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_home(monkeypatch)


@pytest.fixture
def served(way: str) -> Iterator[None]:
    with WorkerProcess() if way == "remote" else contextlib.nullcontext():
        yield


def spec_of(job_id: str) -> JobSpec:
    home = os.environ["RUNYARD_HOME"]
    with Runyard(home, background_worker=False) as yard, yard._here.store.read() as tx:
        seq = views.seq_of(tx, job_id)
        found = views.get(tx, seq)
        text = tx.conn.exec_driver_sql(f"SELECT spec FROM job_specs WHERE job_seq = {seq}").scalar()
    assert found.id == job_id
    return JobSpec.model_validate_json(text)


def job_of(job_id: str) -> Job:
    with Runyard(background_worker=False) as yard:
        return yard.get(job_id)


@pytest.mark.usefixtures("quiet")
class TestCommand:
    @pytest.mark.parametrize(
        ("arguments", "kind", "command"),
        [
            (["true"], "command", ["true"]),
            (["echo", "a b", "$HOME"], "command", ["echo", "a b", "$HOME"]),
            (["--", "ls", "--json", "-l"], "command", ["ls", "--json", "-l"]),
            (["ls", "--wait", "-h"], "command", ["ls", "--wait", "-h"]),
            (["make && make install"], "shell", "make && make install"),
            (["two\nlines"], "shell", "two\nlines"),
            (["--kind", "shell", "true"], "shell", "true"),
            (["--kind", "shell", "echo", "$HOME"], "shell", "echo $HOME"),
            (["--kind", "command", "a b"], "command", ["a b"]),
            (["--kind", "python", "print(6 * 7)"], "python", "print(6 * 7)"),
            (["--", "--kind"], "command", ["--kind"]),
            (["echo", ""], "command", ["echo", ""]),
            (["echo", "é☃"], "command", ["echo", "é☃"]),
        ],
    )
    def test_it_is_read_as_meant(self, arguments: list[str], kind: str, command: object) -> None:
        job = job_of(submitted(*arguments))

        assert (job.kind, job.command) == (kind, command)

    def test_every_option_reaches_the_job(self, tmp_path: Path) -> None:
        first, second = submitted("true"), submitted("true")
        before = time.time()
        job_id = submitted(
            *("--name", "n", "--kind", "shell", "--org-id", "o", "--app-version-id", "v"),
            *("--target", "device", "--priority", "high", "--cwd", str(tmp_path)),
            *("--env", "A=1", "--env", "B=x=y", "--env", "C="),
            *("--timeout", "1.5h", "--silent-timeout", "500ms", "--max-attempts", "3"),
            *("--retry-on", "75", "--retry-on", "1", "--retry-delay", "2m", "--delay", "1d"),
            *("--depends-on", first, "--depends-on", second[:12]),
            *("--label", "nightly", "--label", "team=a=b", "--payload", '{"a": [1, null]}'),
            *("--idempotency-key", "key", "true"),
        )

        spec, job = spec_of(job_id), job_of(job_id)
        assert (spec.name, spec.kind, spec.org_id, spec.app_version_id) == ("n", "shell", "o", "v")
        assert (spec.target, spec.priority, spec.cwd) == ("device", 8, str(tmp_path))
        assert spec.env == {"A": "1", "B": "x=y", "C": ""}
        assert (spec.timeout, spec.silent_timeout) == (5400.0, 0.5)
        assert (spec.max_attempts, spec.retry_on, spec.retry_delay) == (3, [75, 1], 120.0)
        assert 86400 <= (spec.run_after or 0) - before < 86400 + 60
        assert spec.labels == {"nightly": "", "team": "a=b"}
        assert spec.payload == {"a": [1, None]}
        assert spec.idempotency_key == "key"
        assert job.depends_on == [first, second]
        assert job.state is State.BLOCKED

    def test_options_that_are_not_given_keep_the_defaults_of_jobs(self, here: Path) -> None:
        spec = spec_of(submitted("true"))

        # Over REST each submission has a key.
        spec = spec.model_copy(update={"idempotency_key": None})
        assert spec == JobSpec(command=["true"], cwd=str(here))

    def test_a_relative_directory_is_so_to_the_current_one(self, here: Path) -> None:
        assert spec_of(submitted("--cwd", "x/../y", "true")).cwd == str(here / "y")

    @LOCALLY
    def test_a_directory_out_of_bounds_is_refused(
        self, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ALLOWED_WORKDIRS", str(here))
        assert submitted("true")
        cases = {"..": "is not inside of", "gone": "no such directory"}
        for directory, words in cases.items():
            said = call("submit", "--cwd", directory, "true")

            assert said.code == 2
            assert words in said.sentence

    def test_a_delayed_job_waits(self) -> None:
        assert job_of(submitted("--delay", "1h", "true")).state is State.DELAYED
        assert job_of(submitted("--delay", "0", "true")).state is State.QUEUED


class TestMatrix:
    ARGUMENTS = (
        "--name=e2e",
        "--matrix=browser=chromium,firefox",
        "--matrix=os=linux,mac",
        "--exclude=browser=firefox,os=mac",
    )

    @pytest.mark.usefixtures("quiet")
    def test_it_makes_a_batch(self) -> None:
        first = submitted("true")
        batch_id = submitted(*self.ARGUMENTS, "--depends-on", first[:8], "echo", "{browser}/{os}")

        with Runyard(background_worker=False) as yard:
            assert yard.get_batch(batch_id).name == "e2e"
            jobs = yard.list(batch=batch_id).jobs
        assert {job.name: job.command for job in jobs} == {
            "e2e chromium linux": ["echo", "chromium/linux"],
            "e2e chromium mac": ["echo", "chromium/mac"],
            "e2e firefox linux": ["echo", "firefox/linux"],
        }
        assert {job.depends_on[0] for job in jobs} == {first}
        assert jobs[0].labels == {"browser": "firefox", "os": "linux"}

    @pytest.mark.usefixtures("quiet")
    def test_with_json_it_is_the_batch(self) -> None:
        found = call("submit", "--json", "--idempotency-key=k", *self.ARGUMENTS, "true").json

        assert (found["total"], found["waiting"], found["name"]) == (3, 3, "e2e")
        again = call("submit", "--json", "--idempotency-key=k", *self.ARGUMENTS, "true").json
        assert again["id"] == found["id"]

    @pytest.mark.usefixtures("served")
    def test_waiting_for_it(self) -> None:
        assert runyard("submit", "--wait", *self.ARGUMENTS, "true").err == "3 passed\n"

        said = runyard("submit", "--wait", *self.ARGUMENTS, "[ {os} = linux ]")
        assert said.code == 1
        failed, counts = said.err.splitlines()
        assert failed.endswith("  failed: exit code 1  e2e chromium mac")
        assert counts == "2 passed, 1 failed"
        assert call("submit", "--wait", "--json", *self.ARGUMENTS, "true").json["passed"] == 3

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--matrix", "os"], "is not of the form AXIS=VALUE,VALUE…"),
            (["--exclude", "os"], "is not of the form AXIS=VALUE,AXIS=VALUE…"),
            (["--matrix", "os=a", "--exclude", "os=b"], "exclude[0].os: the axis has no value 'b'"),
            (["--exclude", "os=b"], "exclude[0]: the matrix has no axis 'os'"),
        ],
    )
    def test_what_is_wrong_is_said(self, arguments: list[str], words: str) -> None:
        said = call("submit", *arguments, "true")

        assert said.code == 2
        assert words in said.sentence


@pytest.mark.usefixtures("quiet")
class TestOutput:
    def test_it_is_the_id(self) -> None:
        said = call("submit", "true")

        assert (said.code, said.err) == (0, "")
        assert job_of(said.out.strip()).command == ["true"]
        assert said.out == said.out.strip() + "\n"

    def test_with_json_it_is_the_job(self) -> None:
        found = call("submit", "--json", "--label", "x", "true").json

        job = job_of(found["id"])
        assert found == json.loads(job.model_dump_json())
        assert found["submitted_at"] == isoformat(job.submitted_at)
        assert found["state"] == "queued"


@pytest.mark.usefixtures("quiet")
class TestIdempotency:
    def test_the_same_key_gives_the_same_job(self) -> None:
        arguments = ("--idempotency-key", "k", "true")

        assert submitted(*arguments) == submitted(*arguments)

    def test_another_job_under_the_same_key_is_a_conflict(self) -> None:
        submitted("--idempotency-key", "k", "true")

        said = call("submit", "--idempotency-key", "k", "false")

        assert said.code == 1
        assert "k" in said.sentence


@pytest.mark.usefixtures("quiet")
def test_a_dependency_that_has_failed_skips_the_job_at_once(home: Path) -> None:
    bad = submitted("false")
    work(home)

    assert job_of(submitted("--depends-on", bad, "true")).state is State.SKIPPED


@pytest.mark.usefixtures("served")
class TestWait:
    """With the background worker that comes by itself, or one of the server's."""

    def test_a_job_that_passes(self) -> None:
        said = runyard("submit", "--wait", "echo hello")

        assert said.code == 0
        assert said.err == "passed\n"
        assert job_of(said.out.strip()).state is State.PASSED

    def test_one_that_does_not_says_why(self) -> None:
        cases = {
            "failed: exit code 3": ["exit 3"],
            "failed: signal 9 (KILL)": ["kill -9 $$"],
            "failed: no such command: no-such-program": ["no-such-program"],
            "failed: no such directory: /no/where": ["--cwd", "/no/where", "true"],
            "failed: timeout after 0.": ["--timeout", "200ms", "sleep 600"],
            "failed: exit code 4 (att": ["--max-attempts=2", "--retry-delay=0", "exit 4"],
        }
        for words, arguments in cases.items():
            said = call("submit", "--wait", *arguments)

            assert said.code == 1
            assert said.err.startswith(words)
            assert said.err.count("\n") == 1

    def test_with_json_the_ended_job_is_all_there_is(self) -> None:
        said = call("submit", "--wait", "--json", "exit 3")

        assert said.code == 1
        assert (said.json["state"], said.json["exit_code"]) == ("failed", 3)

    def test_an_interrupt_leaves_the_job_alone(self) -> None:
        waiting = start("submit", "--wait", "sleep 600")
        assert waiting.stdout
        job_id = waiting.stdout.readline().strip()
        eventually(lambda: job_of(job_id).state is State.RUNNING, 60)
        waiting.send_signal(signal.SIGINT)

        assert waiting.wait(30) == 130
        assert job_of(job_id).state is State.RUNNING
        waiting.stdout.close()
        call("cancel", job_id)
        assert call("wait", job_id).code == 1


@LOCALLY
def test_a_job_may_submit_others(here: Path) -> None:
    """To the home it was submitted to, and served by the worker that runs it."""
    said = runyard("submit", "--wait", f"{sys.executable} -m runyard submit touch {here}/done")

    assert said.code == 0
    eventually((here / "done").exists, 60)
