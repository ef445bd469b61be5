"""``status``, ``list``, ``logs`` and ``explain``."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.domain.job import State
from tests.support.commands import (
    COMMAND,
    Said,
    at_terminal,
    call,
    quiet_home,
    start,
    submitted,
)
from tests.support.processes import eventually
from tests.support.working import WorkerProcess, in_state, work

pytestmark = pytest.mark.usefixtures("way", "quiet")

HOSTILE = "a\x1b[31mred\x1b]0;title\x07\r\nb\x08\x7f\u202etxt[bold]x[/bold]%s{0}"
CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xe2\x80\xae")  # but for tab and line feed


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_home(monkeypatch)


@pytest.fixture
def yard(home: Path) -> Iterator[Runyard]:
    with Runyard(background_worker=False) as yard:
        yield yard


class TestStatus:
    def test_a_job_that_waits(self) -> None:
        job = submitted("--name", "nightly build", "--label", "a", "--label", "b=c", "make", "all")

        said = call("status", job)

        assert (said.code, said.err) == (0, "")
        lines = dict(line.split(":", 1) for line in said.out.splitlines())
        shown = {label: value.strip() for label, value in lines.items()}
        assert shown["job"] == job
        assert shown["name"] == "nightly build"
        assert shown["state"] == "queued"
        assert shown["command"] == "make all"
        assert shown["target"] == "local"
        assert shown["labels"] == "a, b=c"
        assert "started" not in shown

    def test_a_job_that_failed(self, home: Path) -> None:
        job = submitted("--max-attempts", "2", "--retry-delay", "0", "exit 3")
        work(home)

        out = call("status", job).out

        assert "state:      failed: exit code 3 (attempt 2)" in out
        assert re.search(r"attempt 1:  failed: exit code 3, [\d.]+ s, [\d.]+ s CPU, \d+ MiB", out)
        assert "attempt 2:" in out

    def test_a_batch(self, home: Path, yard: Runyard) -> None:
        batch = yard.submit_batch([{"command": ["true"]}, {"command": ["false"]}], name="two")
        work(home)

        out = call("status", batch.id).out

        assert f"batch:      {batch.id} two" in out
        for line in ("total:      2", "passed:     1", "failed:     1", "waiting:    0"):
            assert line in out

    def test_with_json_it_is_the_job_or_the_batch(self, yard: Runyard) -> None:
        batch = yard.submit_batch([{"command": ["true"]}])
        (job,) = yard.list().jobs

        assert call("status", "--json", job.id).json == json.loads(job.model_dump_json())
        found = call("status", batch.id, "--json").json
        assert (found["id"], found["total"]) == (batch.id, 1)

    @pytest.mark.parametrize("form", ["{}", "--job-id={}", "--job-id {}"])
    def test_the_id_may_be_given_in_several_ways(self, form: str) -> None:
        job = submitted("true")

        assert call("status", "--json", *form.format(job).split()).json["id"] == job


class TestIds:
    def test_any_beginning_that_fits_only_one_is_enough(self, yard: Runyard) -> None:
        jobs = [submitted("true") for _ in range(3)]
        batch = yard.submit_batch([{"command": ["true"]}]).id
        others = [job.id for job in yard.list().jobs]

        for job in jobs:
            short = next(
                job[:n]
                for n in range(1, 14)
                if sum(other.startswith(job[:n]) for other in others) == 1
            )
            for command in ("status", "explain", "logs"):
                said = call(command, short, "--json")
                assert said.code == 0
            assert call("status", short, "--json").json["id"] == job
        assert call("status", batch[:6], "--json").json["id"] == batch

    def test_one_that_fits_several_names_some_of_them(self, yard: Runyard) -> None:
        yard.submit_batch({"command": ["true"]} for _ in range(200))
        # Of 200 ids that begin with one of 32 characters, some begin alike.
        ((first, _),) = Counter(job.id[0] for job in yard.list(limit=200).jobs).most_common(1)

        said = call("status", first)

        assert said.code == 2
        assert said.sentence.startswith(f"{first!r} fits several jobs (")
        assert said.sentence.endswith(")")

    def test_a_whole_id_fits_itself_and_nothing_longer_fits(self) -> None:
        job = submitted("true")

        assert call("status", job).code == 0
        assert call("status", job + "0").code == 2
        assert call("status", job.upper() + "~").code == 2


class TestList:
    def test_the_newest_come_first_and_more_are_announced(self) -> None:
        jobs = [submitted("--name", f"n{n}", "true") for n in range(5)]

        said = call("list", "--limit", "2")

        assert [line.split()[0] for line in said.out.splitlines()] == ["ID", jobs[4], jobs[3]]
        assert said.err.startswith("more: the same with --cursor ")
        rest = call("list", "--limit", "3", "--cursor", said.err.split()[-1])
        assert [line.split()[0] for line in rest.out.splitlines()[1:]] == jobs[2::-1]
        assert rest.err == ""

    def test_part_of_the_name_and_the_user_choose(self, yard: Runyard) -> None:
        job = yard.submit("x", name="a nightly one")
        yard.submit("x", name="another")

        assert [one["id"] for one in call("list", "--q", "NIGHT", "--json").json["jobs"]] == [
            job.id
        ]
        mine = call("list", "--submitted-by", job.submitted_by, "--json").json["jobs"]
        assert len(mine) == 2
        assert call("list", "--submitted-by", "nobody", "--json").json["jobs"] == []

    def test_with_json_the_cursor_is_in_the_object(self) -> None:
        jobs = [submitted("true") for _ in range(3)]

        first = call("list", "--limit", "2", "--json").json
        second = call("list", "--limit", "2", "--json", "--cursor", first["next"]).json

        assert [job["id"] for job in first["jobs"] + second["jobs"]] == jobs[::-1]
        assert second["next"] is None

    def test_an_empty_one(self) -> None:
        assert call("list").out.split() == ["ID", "STATE", "PRI", "TARGET", "SECONDS", "NAME"]
        assert call("list", "--json").json == {"jobs": [], "next": None}

    def test_it_can_be_narrowed(self, home: Path, yard: Runyard) -> None:
        passed = submitted("--label", "x=1", "true")
        failed = submitted("--label", "x=2", "--label", "y", "false")
        work(home)
        queued = submitted("--target", "device", "--org-id", "o", "--app-version-id", "v", "true")
        batch = yard.submit_batch([{"command": ["true"]}])
        member = yard.list(batch=batch).jobs[0].id

        def found(*arguments: str) -> list[str]:
            return [job["id"] for job in call("list", "--json", *arguments).json["jobs"]]

        assert found("--state", "passed") == [passed]
        assert found("--state", "passed", "--state", "failed") == [failed, passed]
        assert found("--label", "x") == [failed, passed]
        assert found("--label", "x=1") == [passed]
        assert found("--label", "x", "--label", "y") == [failed]
        assert found("--label", "y=") == [failed]
        assert found("--target", "device") == found("--org-id", "o") == [queued]
        assert found("--app-version-id", "v", "--state", "queued") == [queued]
        assert found("--batch", batch.id) == found("--batch", batch.id[:9]) == [member]
        assert found("--label", "z") == []


class TestHostileText:
    """Names, commands and labels come from anywhere, and terminals obey."""

    @pytest.fixture
    def job(self) -> str:
        return submitted(
            *("--name", HOSTILE, "--label", f"{HOSTILE}={HOSTILE}", "--target", HOSTILE),
            *("--app-version-id", HOSTILE, "--org-id", HOSTILE, "--kind", "command", HOSTILE),
        )

    @pytest.mark.parametrize("command", ["status", "explain", "list"])
    def test_the_terminal_gets_no_control_characters_of_theirs(
        self, job: str, command: str
    ) -> None:
        shown = at_terminal(command, *([] if command == "list" else [job]))

        ours = re.sub(rb"\x1b\[\d*m|\r\n", b"", shown)
        assert CONTROL.findall(ours) == []
        if command != "explain":
            assert b"red" in shown
            assert b"[bold]x[/bold]%s{0}" in shown

    def test_each_stays_on_its_line(self, job: str) -> None:
        assert len(call("list").out.splitlines()) == 2
        for line in call("status", job).out.splitlines():
            assert re.match(r"[a-z ]+\d*: ", line)

    def test_with_json_they_are_as_they_were_given(self, job: str) -> None:
        found = call("status", job, "--json").json

        assert found["name"] == found["target"] == HOSTILE
        assert found["labels"] == {HOSTILE: HOSTILE}

    def test_control_and_wait_show_them_safely(self, job: str) -> None:
        ours = re.sub(rb"\x1b\[\d*m|\r\n", b"", at_terminal("cancel", job))

        assert CONTROL.findall(ours) == []

    def test_an_error_that_quotes_them_is_one_line(self) -> None:
        said = call("submit", "--depends-on", HOSTILE, "true")

        assert said.code == 2
        assert "\x1b" not in said.sentence


class TestLogs:
    def test_each_stream_goes_to_its_own(self, home: Path) -> None:
        job = submitted("echo out; echo err >&2")
        work(home)

        assert call("logs", job) == Said(0, "out\n", "err\n")
        assert call("logs", job, "--json").json == {"stdout": "out\n", "stderr": "err\n"}

    def test_bytes_are_passed_on_as_they_are(self, home: Path) -> None:
        job = submitted("--kind", "shell", r"printf '\000\377\033[31m\n'")
        work(home)

        raw = subprocess.run(
            [*COMMAND, "logs", job], capture_output=True, check=True, timeout=60
        ).stdout
        assert raw == b"\0\xff\x1b[31m\n"
        assert call("logs", job, "--json").json["stdout"] == "\0\ufffd\x1b[31m\n"

    def test_the_last_attempt_is_shown_unless_another_is_named(self, home: Path) -> None:
        job = submitted(
            *("--max-attempts", "2", "--retry-delay", "0"), "echo $RUNYARD_ATTEMPT_NUMBER; exit 1"
        )
        work(home)

        assert call("logs", job).out == "2\n"
        assert call("logs", job, "--attempt", "1").out == "1\n"
        for attempt in ("0", "3", "-1"):
            said = call("logs", job, f"--attempt={attempt}")
            assert said.code == 2
            assert said.sentence == f"job {job} has no attempt {attempt}"

    def test_a_job_that_never_ran_has_none(self) -> None:
        job = submitted("true")

        assert call("logs", job) == Said(0, "", "")
        assert call("logs", job, "--json").json == {"stdout": "", "stderr": ""}


class TestFollow:
    def test_lines_come_as_they_are_written_and_across_a_retry(
        self, here: Path, yard: Runyard
    ) -> None:
        step = "echo $n {0}; while [ ! -e {0}$n ]; do sleep 0.02; done"
        line = f"n=$RUNYARD_ATTEMPT_NUMBER; {step.format('a')}; {step.format('b')}; exit 1"
        job = submitted("--max-attempts", "2", "--retry-delay", "0", line)
        following = start("logs", "-f", job)
        assert following.stdout
        with WorkerProcess():
            for attempt in "12":
                for name in "ab":
                    assert following.stdout.readline() == f"{attempt} {name}\n"
                    assert following.poll() is None
                    (here / f"{name}{attempt}").touch()
            assert following.stdout.read() == ""
            assert following.wait(30) == 0
        following.stdout.close()
        assert yard.get(job).state is State.FAILED

    def test_no_attempt_is_left_out_however_short(self, tmp_path: Path) -> None:
        go = tmp_path / "go"
        job = submitted(
            *("--max-attempts", "6", "--retry-delay", "0"),
            f"echo $RUNYARD_ATTEMPT_NUMBER; until [ -e {go} ]; do sleep 0.02; done; exit 1",
        )
        following = start("logs", "-f", job)
        with WorkerProcess():
            assert following.stdout
            assert following.stdout.readline() == "1\n"  # it follows: now let them fly past
            go.touch()
            out, _ = following.communicate(timeout=60)

        assert out.split() == list("23456")

    def test_of_a_job_that_has_ended_the_last_attempt_is_shown(self, home: Path) -> None:
        job = submitted(
            *("--max-attempts", "2", "--retry-delay", "0"), "echo $RUNYARD_ATTEMPT_NUMBER; exit 1"
        )
        work(home)

        assert call("logs", "-f", job) == Said(0, "2\n", "")

    def test_both_streams_are_followed(self, home: Path) -> None:
        job = submitted("echo out; echo err >&2")
        work(home)

        assert call("logs", "--follow", job) == Said(0, "out\n", "err\n")

    def test_an_attempt_or_a_setup_is_not_followed(self) -> None:
        for option in ("--attempt=1", "--setup"):
            said = call("logs", "-f", option, "x")
            assert (said.code, said.out) == (2, "")
            assert "leave --attempt and --setup out" in said.err

    def test_with_json_it_waits_and_prints_one_object(self) -> None:
        job = submitted("sleep 0.2; echo done")
        following = start("logs", "-f", "--json", job)
        with WorkerProcess():
            out, _ = following.communicate(timeout=60)

        assert json.loads(out) == {"stdout": "done\n", "stderr": ""}
        assert out.count("\n") == 1

    def test_a_job_that_is_cancelled_meanwhile_ends_it(self, yard: Runyard) -> None:
        job = submitted("true")
        following = start("logs", "-f", job)
        time.sleep(0.3)
        yard.cancel(job)

        assert following.communicate(timeout=60)[0] == ""
        assert following.returncode == 0

    def test_an_interrupt_ends_it_and_not_the_job(self, yard: Runyard) -> None:
        job = submitted("echo on; sleep 600")
        with WorkerProcess():
            following = start("logs", "-f", job)
            assert following.stdout
            assert following.stdout.readline() == "on\n"
            following.send_signal(signal.SIGINT)
            assert following.wait(30) == 130
            following.stdout.close()
            assert yard.get(job).state is State.RUNNING
            yard.cancel(job)
            eventually(in_state(yard, yard.get(job), State.CANCELLED))


class TestExplain:
    def explained(self, job: str) -> tuple[str, str]:
        found = call("explain", job, "--json").json
        without_times = re.compile(r"[\d.]+ s\b|not before \S+")
        in_words = call("explain", job).out.removesuffix("\n")
        assert without_times.sub("", in_words) == without_times.sub("", found["text"])
        return found["code"], found["text"]

    def test_a_job_that_waits(self, yard: Runyard) -> None:
        first = submitted("true")
        second = submitted("true")
        delayed = submitted("--delay", "1h", "true")
        blocked = submitted("--depends-on", first, "true")

        assert self.explained(first) == (
            "no_worker",
            "queued: no worker is running; it is the next one",
        )
        assert self.explained(second)[1].endswith("1 job before it")
        assert self.explained(delayed)[0] == "scheduled"
        code, text = self.explained(blocked)
        assert code == "dependency"
        assert first in text

    def test_a_job_that_runs_or_waits_for_a_slot(self, yard: Runyard) -> None:
        running, waiting = submitted("sleep 600"), submitted("true")
        elsewhere = submitted("--target", "device", "true")
        with WorkerProcess("--target", "local", slots=1) as worker:
            eventually(in_state(yard, yard.get(running), State.RUNNING))
            code, text = self.explained(running)
            assert (code, worker.id in text) == ("running", True)
            assert self.explained(waiting)[0] == "busy"
            assert self.explained(elsewhere)[0] == "no_target"
            yard.cancel(running)

    def test_a_job_that_ended(self, home: Path) -> None:
        cases = {
            "true": ("passed", "passed"),
            "exit 3": ("exit_code", "failed: exit code 3"),
            "kill -15 $$": ("signal", "failed: signal 15 (TERM)"),
            "no-such-program": ("not_started", "failed: no such command: no-such-program"),
        }
        jobs = {submitted(command): said for command, said in cases.items()}
        failed = submitted("false")
        skipped = submitted("--depends-on", failed, "true")
        work(home)

        for job, said in jobs.items():
            assert self.explained(job) == said
        code, text = self.explained(skipped)
        assert (code, f"({failed}) is failed" in text) == ("dependency", True)
