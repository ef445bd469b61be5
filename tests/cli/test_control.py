"""``wait``, ``cancel``, ``retry``, ``force-complete`` and ``purge``."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.domain.job import State
from tests.cli.running import Terminal
from tests.support.background import background_workers
from tests.support.commands import COMMAND, Said, call, quiet_home, runyard, start, submitted
from tests.support.processes import eventually
from tests.support.working import WorkerProcess, work

pytestmark = pytest.mark.usefixtures("way", "quiet")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_home(monkeypatch)


@pytest.fixture
def yard(home: Path) -> Iterator[Runyard]:
    with Runyard(background_worker=False) as yard:
        yield yard


def states(said: Said) -> list[str]:
    return [job["state"] for job in said.json["jobs"]]


class TestWait:
    def test_it_is_0_if_all_passed_and_1_if_not(self, home: Path) -> None:
        good, bad = submitted("--name", "good", "true"), submitted("--name", "bad", "exit 3")
        work(home)

        assert call("wait", good) == Said(0, f"{good}  passed  good\n", "")
        assert call("wait", bad) == Said(1, f"{bad}  failed: exit code 3  bad\n", "")
        both = call("wait", good, bad, "--json")
        assert (both.code, states(both)) == (1, ["passed", "failed"])

    def test_a_cancelled_job_has_not_passed(self, yard: Runyard) -> None:
        job = submitted("true")
        yard.cancel(job)

        assert call("wait", job).code == 1

    def test_it_waits_for_all_members_of_a_batch(self, yard: Runyard) -> None:
        batch = yard.submit_batch({"command": "sleep 0.1"} for _ in range(6))
        waiting = start("wait", "--json", batch.id)
        with WorkerProcess():
            out, _ = waiting.communicate(timeout=60)

        assert waiting.returncode == 0
        assert {job["state"] for job in json.loads(out)["jobs"]} == {"passed"}
        assert len(json.loads(out)["jobs"]) == 6

    def test_an_empty_batch_is_over_at_once(self, yard: Runyard) -> None:
        assert call("wait", yard.submit_batch([]).id) == Said(0, "", "")

    def test_one_that_takes_too_long_is_given_up(self, yard: Runyard) -> None:
        job = submitted("true")

        said = call("wait", "--timeout", "100ms", job)

        assert said.code == 1
        assert said.sentence == "1 of 1 jobs are not finished yet"
        assert call("wait", "--timeout", "0", job, "--json").json["error"]
        assert yard.get(job).state is State.QUEUED

    def test_time_to_spare_does_no_harm(self, home: Path) -> None:
        job = submitted("true")
        work(home)

        assert call("wait", "--timeout", "0", job).code == 0

    @pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.1])
    def test_an_interrupt_ends_it_whatever_it_does_just_then(self, seconds: float) -> None:
        job = submitted("--delay", "1h", "true")
        waiting = start("wait", job, stderr=subprocess.PIPE)
        eventually(lambda: has_begun_to_ask(waiting.pid))
        time.sleep(seconds)
        waiting.send_signal(signal.SIGINT)

        assert waiting.communicate(timeout=30) == ("", "\n")
        assert waiting.returncode == 130

    def test_the_same_job_named_twice_is_one(self, home: Path) -> None:
        job = submitted("true")
        work(home)

        assert len(call("wait", job, job[:12], "--json").json["jobs"]) == 1


def has_begun_to_ask(pid: int) -> bool:
    """Whether its database, or a connection to the server, is open."""
    links = Path(f"/proc/{pid}/fd").iterdir()
    with contextlib.suppress(FileNotFoundError):
        names = [str(link.readlink()) for link in links]
        return any("runyard.db" in name or name.startswith("socket:") for name in names)
    return False


class TestCancel:
    def test_what_waits_is_cancelled_at_once(self) -> None:
        jobs = [
            submitted("--name", "a", "true"),
            submitted("--name", "b", "--delay", "1h", "true"),
        ]

        said = call("cancel", *jobs)

        assert said == Said(0, f"{jobs[0]}  cancelled  a\n{jobs[1]}  cancelled  b\n", "")

    def test_what_depends_on_it_is_skipped(self, yard: Runyard) -> None:
        first = submitted("true")
        second = submitted("--depends-on", first, "true")
        call("cancel", first)

        assert yard.get(second).state is State.SKIPPED

    def test_what_runs_is_asked_to_end(self, yard: Runyard, here: Path) -> None:
        job = submitted("trap 'touch asked' TERM; touch on; until [ -e go ]; do sleep 0.02; done")
        with WorkerProcess():
            eventually((here / "on").exists)
            said = call("cancel", job, "--json")
            assert states(said) == ["running"]
            eventually((here / "asked").exists)
            (here / "go").touch()
            assert call("wait", job, "--timeout", "60s").code == 1

        assert yard.get(job).state is State.CANCELLED

    def test_what_has_ended_stays_as_it_is(self, home: Path) -> None:
        job = submitted("true")
        work(home)

        assert states(call("cancel", job, "--json")) == ["passed"]
        assert call("cancel", job).code == 0

    def test_all_members_of_a_batch(self, yard: Runyard) -> None:
        batch = yard.submit_batch({"command": ["true"]} for _ in range(3))

        assert states(call("cancel", batch.id, "--json")) == ["cancelled"] * 3

    def test_one_unknown_id_cancels_nothing(self, yard: Runyard) -> None:
        job = submitted("true")

        assert call("cancel", job, "nope").code == 2
        assert yard.get(job).state is State.QUEUED


class TestRetry:
    def test_a_job_that_failed_runs_again(self, home: Path, here: Path) -> None:
        job = submitted("[ -e go ]")
        work(home)
        (here / "go").touch()

        assert call("retry", job) == Said(0, f"{job}  queued  [ -e go ]\n", "")

        work(home)
        assert call("wait", job).code == 0

    def test_of_a_batch_those_that_did_not_pass(self, home: Path, yard: Runyard) -> None:
        batch = yard.submit_batch(
            [
                {"name": "good", "command": ["true"]},
                {"name": "bad", "command": ["false"]},
                {"name": "next", "command": ["true"], "depends_on": ["bad"]},
            ]
        )
        work(home)

        assert states(call("retry", batch.id, "--json")) == ["passed", "queued", "blocked"]

    @pytest.mark.parametrize(("command", "word"), [("true", "has passed"), (None, "is queued")])
    def test_others_are_refused(self, home: Path, command: str | None, word: str) -> None:
        job = submitted(command or "true")
        if command:
            work(home)

        said = call("retry", job)
        assert said.code == 1
        assert word in said.sentence
        assert list(call("retry", job, "--json").json) == ["error"]


@pytest.mark.parametrize("way", ["local"], indirect=True)
def test_a_waiting_command_starts_a_worker_when_there_is_none(home: Path) -> None:
    with Runyard(background_worker=False) as yard:
        job = yard.submit("echo done")

    said = runyard("wait", job.id)

    assert said.code == 0
    assert len(background_workers(home)) == 1


class TestForceComplete:
    def test_what_waits_for_it_goes_on(self, yard: Runyard) -> None:
        stuck = submitted("--delay", "1d", "true")
        after = submitted("--depends-on", stuck, "true")

        assert call("force-complete", stuck[:8]) == Said(0, f"{stuck}  passed  true\n", "")
        assert yard.get(after).state is State.QUEUED
        again = call("force-complete", stuck)
        assert (again.code, again.sentence) == (1, f"job {stuck} is passed already")


class TestPurge:
    def test_jobs_and_batches_go_for_good(self, yard: Runyard, home: Path) -> None:
        job = submitted("echo it")
        batch = yard.submit_batch([{"command": "true"}] * 2)
        kept = submitted("true")
        work(home)

        assert call("purge", job, batch.id, "--yes") == Said(
            0, f"{job} is deleted\n{batch.id} is deleted\n", ""
        )
        assert [one.id for one in yard.list().jobs] == [kept]
        assert call("status", batch.id).code == 2
        assert call("purge", kept, "--yes", "--json").json == {"purged": [kept]}

    def test_nothing_goes_unasked(self, yard: Runyard, home: Path) -> None:
        job = submitted("true")
        work(home)

        said = runyard("purge", job)
        assert said.code == 2
        assert said.sentence == (
            f"Delete {job} for good, with all output? Nobody is here to be asked: say --yes"
        )
        assert yard.get(job).state is State.PASSED

    @pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130), ("\x04", 130)])
    def test_whoever_is_there_is_asked(self, home: Path, answer: str, code: int) -> None:
        job = submitted("true")
        work(home)

        with Terminal("purge", job, command=COMMAND) as terminal:
            terminal.wait_for(f"Delete {job} for good, with all output? [y/N]: ")
            terminal.type(answer)
            assert terminal.end()[0] == code
        assert call("status", job).code == (2 if code == 0 else 0)

    def test_what_has_not_ended_stays(self) -> None:
        job = submitted("true")

        said = call("purge", job, "--yes")
        assert (said.code, said.sentence) == (1, f"job {job} is queued: cancel it first")

    def test_if_one_is_not_there_nothing_is_deleted(self, yard: Runyard, home: Path) -> None:
        job = submitted("true")
        work(home)

        said = call("purge", job, "nope", "--yes")
        assert said.code == 2
        assert "there is no job 'nope'" in said.sentence
        assert yard.get(job).state is State.PASSED
