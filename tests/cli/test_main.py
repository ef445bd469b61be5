"""What all commands have in common: help, errors, exit codes, streams, homes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from runyard import Runyard, __version__, bootstrap
from runyard.cli.main import COMMANDS, cli
from tests.support.commands import Said, call, quiet_home, runyard, shell, submitted
from tests.support.disks import mounted

pytestmark = pytest.mark.usefixtures("here", "quiet")

ENSURE_WORKER = bootstrap.ensure_worker


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_home(monkeypatch)


class TestHelp:
    def test_it_lists_every_command(self) -> None:
        said = call("--help")

        assert said.code == 0
        for name, (_, line) in COMMANDS.items():
            assert name in said.out
            assert line in said.out

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_its_own_with_json(self, name: str) -> None:
        command = cli.get_command(click.Context(cli), name)
        below = (
            command.list_commands(click.Context(command)) if hasattr(command, "commands") else []
        )
        for words in [[name, sub] for sub in below] or [[name]]:
            said = call(*words, "-h")

            assert (said.code, said.err) == (0, "")
            assert "--json" in said.out, words

    def test_without_a_command_it_is_shown_as_it_is(self) -> None:
        said = call()

        assert said.code == 2
        assert (said.out + said.err).startswith("Usage: runyard [OPTIONS] COMMAND")

    def test_it_needs_no_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RUNYARD_HOME", "/dev/null/nowhere")

        assert call("submit", "--help").code == 0
        assert call("version").out == f"runyard {__version__}\n"
        assert call("version", "--json").json == {"version": __version__}
        assert __version__ in call("--version").out


WRONG = {
    "unknown command": (["nonsense"], "No such command 'nonsense'."),
    "unknown option": (["list", "--nonsense"], "No such option '--nonsense'"),
    "no command to submit": (["submit"], "say either a COMMAND or --test SPEC"),
    "empty command": (["submit", ""], "command: the command is empty"),
    "kind": (["submit", "--kind", "x", "y"], "Invalid value for '--kind': 'x' is not one of"),
    "priority": (["submit", "--priority", "11", "x"], "priority: Input should be less than or"),
    "priority name": (["submit", "--priority", "top", "x"], "priority: priority is a whole num"),
    "duration": (["submit", "--timeout", "1y", "x"], "Invalid value for '--timeout': '1y' is no"),
    "no time": (["submit", "--timeout", "0", "x"], "timeout: Input should be greater than 0"),
    "attempts": (["submit", "--max-attempts", "0", "x"], "max_attempts: Input should be greater"),
    "far future": (["submit", "--delay", "99999999d", "x"], "run_after: Input should be less"),
    "env": (["submit", "--env", "X", "y"], "Invalid value for '--env': 'X' is not of the form"),
    "env name": (["submit", "--env", "=X", "y"], "Invalid value for '--env': '=X' is not of"),
    "label": (["submit", "--label", "=", "y"], "Invalid value for '--label': '=' is not of the"),
    "payload": (["submit", "--payload", "{", "x"], "--payload is not JSON: Expecting property"),
    "NaN": (["submit", "--payload", "NaN", "x"], "payload: the payload is not JSON: Out of range"),
    "half a letter": (["submit", "--payload", '"\\ud800"', "x"], "payload: the payload is not"),
    "deep": (["submit", "--payload", "[" * 101 + "]" * 101, "x"], "payload: the payload is nes"),
    "deepest": (["submit", "--payload", "[" * 99_999, "x"], "--payload is nested too deeply"),
    "name": (["submit", "--name", "x" * 301, "y"], "name: String should have at most 300 char"),
    "dependency": (["submit", "--depends-on", "nope", "x"], "there is no job 'nope'"),
    "batch as dependency": (["submit", "--depends-on", "b-1", "x"], "there is no job 'b-1'"),
    "no id": (["status"], "say which job: runyard status ID"),
    "unknown id": (["status", "nope"], "there is no job 'nope'"),
    "unknown batch": (["status", "b-nope"], "there is no batch 'b-nope'"),
    "empty id": (["explain", ""], "there is no job ''"),
    "logs of nothing": (["logs", "nope"], "there is no job 'nope'"),
    "follow nothing": (["logs", "-f", "nope"], "there is no job 'nope'"),
    "wait for nothing": (["wait", "nope"], "there is no job 'nope'"),
    "wait for no id": (["wait"], "Missing argument 'ID...'."),
    "cancel nothing": (["cancel", "nope", "b-nope"], "there is no job 'nope'"),
    "retry nothing": (["retry", "nope"], "there is no job 'nope'"),
    "state": (["list", "--state", "done"], "Invalid value for '--state': 'done' is not one of"),
    "page": (["list", "--limit", "0"], "a page has between 1 and 1000 jobs"),
    "long page": (["list", "--limit", "1001"], "a page has between 1 and 1000 jobs"),
    "cursor": (["list", "--cursor", "x"], "'x' is not a cursor that a list gave"),
    "odd cursor": (["list", "--cursor", "²"], "'²' is not a cursor that a list gave"),
    "long cursor": (["list", "--cursor", "9" * 40], f"'{'9' * 40}' is not a cursor that a list"),
    "batch": (["list", "--batch", "b-nope"], "there is no batch 'b-nope'"),
    "slots": (["worker", "--slots", "0"], "Invalid value for '--slots': 0 is not in the range"),
    "idle": (["worker", "--exit-when-idle", "x"], "Invalid value for '--exit-when-idle': 'x' is"),
    "no unicode id": (["status", os.fsdecode(b"\xff")], "an argument is not valid Unicode text"),
    "no unicode label": (["list", "--label", os.fsdecode(b"\xff")], "an argument is not valid"),
    "no unicode org": (["list", "--org-id", os.fsdecode(b"\xff")], "an argument is not valid"),
    "no unicode name": (["submit", "--name", os.fsdecode(b"\xff"), "x"], "name: Input should be"),
    "no unicode word": (["submit", "x", os.fsdecode(b"\xff")], "command: the command is not val"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_in_one_sentence(case: str) -> None:
    arguments, sentence = WRONG[case]

    said = call(*arguments)

    assert said.code == 2
    assert said.sentence.startswith(sentence)


@pytest.mark.parametrize("case", WRONG)
def test_with_json_the_sentence_is_in_an_object(case: str) -> None:
    arguments, sentence = WRONG[case]

    said = call(arguments[0], "--json", *arguments[1:])

    assert said.code == 2
    assert list(said.json) == ["error"]
    assert said.json["error"].startswith(sentence)


def test_nothing_is_saved_by_a_wrong_request() -> None:
    for arguments, _ in WRONG.values():
        if arguments[0] == "submit":
            call(*arguments)

    assert call("list", "--json").json == {"jobs": [], "next": None}


def test_an_option_of_the_job_s_own_command_is_not_taken_for_ours() -> None:
    said = call("submit", "--priority", "99", "--", "prog", "--json")

    assert said.sentence.startswith("priority: ")


def test_a_setting_that_cannot_be_right_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("RUNYARD_LEASE_SECONDS", "soon"),
        ("RUNYARD_LEASE_SECONDS", "nan"),
        ("RUNYARD_RETENTION_DAYS", "-1"),
    ):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            assert name in call("list").sentence
    for url in ("nonsense", "mysql://host/db", "postgresql://host:port/db"):
        with monkeypatch.context() as changed:
            changed.setenv("RUNYARD_DATABASE_URL", url)
            said = call("list")
            assert said.code in (1, 2)
            assert said.sentence


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    said = runyard("list", RUNYARD_DATABASE_URL="postgresql://me:secret@127.0.0.1:1/db")

    assert said.code == 1
    assert "127.0.0.1:1/db cannot be reached" in said.sentence
    assert "secret" not in said.sentence


class TestStreams:
    def test_a_reader_may_leave_early(self) -> None:
        with Runyard(background_worker=False) as yard:
            yard.submit_batch({"name": f"job{n}" * 40, "command": "x"} for n in range(500))

        said = shell("set -o pipefail; runyard list --limit 1000 | head -1")
        assert (said.code, said.err) == (0, "")
        said = shell("set -o pipefail; runyard list --limit 1000 --json | true")
        assert (said.code, said.err) == (0, "")

    def test_the_exit_code_stays_true_when_nobody_reads(self) -> None:
        job = submitted("true")
        call("cancel", job)

        said = shell(f"runyard wait {job} | true; echo ${{PIPESTATUS[0]}}")

        assert (said.out, said.err) == ("1\n", "")

    def test_a_reader_of_logs_may_leave_while_they_still_come(self, home: Path) -> None:
        job = submitted("while echo line; do sleep 0.05; done")
        worker = subprocess.Popen(
            [sys.executable, "-m", "runyard", "worker"], stderr=subprocess.DEVNULL
        )
        said = shell(f"set -o pipefail; runyard logs -f {job} | head -2")
        call("cancel", job)
        with Runyard(background_worker=False) as yard:
            yard.wait(job, 30)
        worker.terminate()
        worker.wait(30)

        assert (said.out, said.err) == ("line\nline\n", "")

    @pytest.mark.parametrize("command", ["list", "list --json", "version"])
    def test_output_that_cannot_be_written_is_an_error(self, command: str) -> None:
        said = shell(f"runyard {command} >/dev/full")

        assert said.code == 1
        assert "Traceback" not in said.err
        assert "No space left on device" in said.err or "--json" in command

    @pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
    def test_any_of_them_may_be_closed(self, closed: str) -> None:
        said = shell(f"runyard list {closed}")

        assert said.code == 0
        assert "Error" not in said.out + said.err

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
    def test_names_are_shown_in_any_encoding(self, encoding: str) -> None:
        submitted("--name", "é☃", "true")

        for arguments in (["list"], ["list", "--json"]):
            said = runyard(*arguments, PYTHONIOENCODING=encoding)
            assert (said.code, said.err) == (0, "")
            if "--json" in arguments:
                assert said.json["jobs"][0]["name"] == "é☃"


class TestHome:
    def test_it_is_made_when_it_is_first_used(self, tmp_path: Path) -> None:
        home = tmp_path / "a" / "b"

        assert runyard("list", RUNYARD_HOME=str(home)).code == 0
        assert home.stat().st_mode & 0o777 == 0o700

    @pytest.mark.parametrize(
        "name", ["with space", "%41", "#1", "é☃", "a;b", "a&b=c", "a?b", "'", "~"]
    )
    def test_it_may_have_any_name(self, tmp_path: Path, name: str) -> None:
        with Runyard(tmp_path / name, background_worker=False) as yard:
            yard.submit(["true"])

        assert (tmp_path / name / "runyard.db").exists()

    def test_a_file_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        assert "file cannot be used: File exists" in self.use(tmp_path / "file").sentence
        assert "cannot be used: Not a directory" in self.use(tmp_path / "file/x").sentence

    @pytest.mark.parametrize("part", ["run", "logs", "worker.log", "runyard.db"])
    def test_something_else_in_place_of_a_part_of_it(self, tmp_path: Path, part: str) -> None:
        home = tmp_path / "odd"
        (home / part).mkdir(parents=True)
        if part in ("run", "logs"):
            (home / part).rmdir()
            (home / part).touch()

        said = self.use(home)

        assert str(home) in said.err
        assert "Traceback" not in said.err

    def test_a_database_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "runyard.db").write_bytes(os.urandom(100_000))

        said = self.use(tmp_path)

        assert "runyard.db is damaged" in said.sentence
        assert "move it away" in said.sentence

    def test_a_database_that_was_damaged(self, home: Path) -> None:
        ids = [submitted("true") for _ in range(20)]
        path = home / "runyard.db"
        with contextlib.suppress(FileNotFoundError):
            (home / "runyard.db-wal").unlink()
        data = bytearray(path.read_bytes())
        for page in range(2, len(data) // 4096):
            data[page * 4096 : page * 4096 + 100] = os.urandom(100)
        path.write_bytes(data)

        for arguments in (["list"], ["status", ids[0]], ["submit", "true"]):
            said = call(*arguments)
            assert said.code in (0, 1, 2)
            assert "Traceback" not in said.err

    def test_one_that_may_not_be_written(self, read_only: Path) -> None:
        for arguments in (["submit", "true"], ["list"]):
            said = self.use(read_only, *arguments)
            assert said.code == 1
            assert str(read_only) in said.sentence

    @staticmethod
    def use(home: Path, *arguments: str) -> Said:
        with pytest.MonkeyPatch.context() as changed:
            changed.setenv("RUNYARD_HOME", str(home))
            changed.setattr("runyard.bootstrap.ensure_worker", ENSURE_WORKER)
            said = call(*(arguments or ["submit", "true"]))
        assert said.code == 1
        return said


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A home on a file system that became read-only."""
    with mounted(tmp_path / "fixed", "size=8m") as path:
        with Runyard(path, background_worker=False) as yard:
            yard.submit(["true"])
        subprocess.run(["mount", "-o", "remount,ro", path], check=True)
        yield path


def test_the_current_directory_may_be_gone(tmp_path: Path) -> None:
    line = f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir {tmp_path}/gone; runyard "

    assert shell(line + "list").code == 0
    said = shell(line + "submit true")
    assert said.code == 2
    assert "the current directory is gone" in said.sentence
