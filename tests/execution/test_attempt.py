"""What a command finds when it starts, and what is known when it has ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runyard.config import SECRET_VARIABLES
from runyard.execution.handle import clean_environment
from tests.support.launching import Bench

SHOW = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"]
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def bench(shared_bench: Bench) -> Bench:
    return shared_bench


def test_arguments_arrive_as_they_were_given(bench: Bench) -> None:
    arguments = ["", " ", "a b", "$HOME", "*", "'\"\\", "-x", "é☃", "two\nlines"]

    assert json.loads(bench.run([*SHOW, *arguments]).out) == arguments


def test_a_shell_line_is_read_by_a_shell(bench: Bench) -> None:
    ran = bench.run("printf '%s ' $((6 * 7)) $NAME; echo err >&2; exit 3", env={"NAME": "x y"})

    assert (ran.out, ran.err, ran.end.exit_code) == (b"42 x y ", b"err\n", 3)


def test_standard_input_is_empty(bench: Bench) -> None:
    assert bench.run(["cat"]).end.exit_code == 0
    assert bench.run("read -r line").end.exit_code == 1


def test_an_attempt_leads_its_own_session_and_group(bench: Bench) -> None:
    ran = bench.run("ps -o pid=,pgid=,sid= -p $$")

    pid, group, session = ran.out.split()
    assert pid == group == session


def test_an_attempt_has_no_terminal(bench: Bench) -> None:
    assert bench.run("echo x > /dev/tty").end.exit_code != 0


def test_the_environment_is_the_worker_s_without_secrets_and_with_the_job_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRET_VARIABLES:
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("KEPT", "of the worker")
    monkeypatch.setenv("REPLACED", "of the worker")

    with Bench(tmp_path, clean_environment(SECRET_VARIABLES)) as bench:
        env = {"REPLACED": "of the job", "EMPTY": "", "ODD name": "é\n"}
        out = bench.run(["env", "-0"], env=env).out

    seen = dict(line.partition("=")[::2] for line in out.decode().split("\0") if line)
    assert seen["KEPT"] == "of the worker"
    assert seen["REPLACED"] == "of the job"
    assert (seen["EMPTY"], seen["ODD name"]) == ("", "é\n")
    assert seen["RUNYARD_ATTEMPT"].startswith(bench.name)
    assert not set(SECRET_VARIABLES) & seen.keys()


def test_a_variable_that_is_no_unicode_is_handed_on(tmp_path: Path) -> None:
    with Bench(tmp_path, {**os.environ, "RAW": os.fsdecode(b"\xff\xfe")}) as bench:
        assert bench.run('printf %s "$RAW"').out == b"\xff\xfe"


def test_the_directory_is_the_one_asked_for(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)

    assert bench.run(["pwd"], cwd=str(tmp_path / "a")).out == f"{tmp_path / 'a'}\n".encode()
    assert bench.run(["pwd"]).out == f"{bench.root}\n".encode()


def test_a_relative_directory_does_not_depend_on_where_the_attempt_before_ran(
    bench: Bench,
) -> None:
    (bench.root / "a" / "a").mkdir(parents=True)

    first, second = (bench.run(["pwd"], cwd="a").out for _ in range(2))

    assert first == second == f"{bench.root / 'a'}\n".encode()


def test_a_relative_command_is_found_from_the_directory_of_the_job(
    bench: Bench, tmp_path: Path
) -> None:
    program = tmp_path / "tools" / "here"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)

    assert bench.run(["./here"], cwd=str(program.parent)).out == b"found\n"


def test_a_command_is_looked_up_in_the_path_of_the_job(bench: Bench, tmp_path: Path) -> None:
    for place in ("one", "two"):
        program = tmp_path / place / "which-one"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho {place}\n")
        program.chmod(0o755)

    assert bench.run(["which-one"], env={"PATH": f"{tmp_path}/one:/bin"}).out == b"one\n"
    assert bench.run(["which-one"], env={"PATH": f"{tmp_path}/two:/bin"}).out == b"two\n"
    (tmp_path / "one" / "which-one").unlink()
    gone = bench.run(["which-one"], env={"PATH": f"{tmp_path}/one:/bin"}).end
    assert gone.detail == "no such command: which-one"


@pytest.mark.parametrize("code", [0, 1, 2, 77, 127, 255])
def test_an_exit_code_is_reported(bench: Bench, code: int) -> None:
    end = bench.run(f"exit {code}").end

    assert (end.cause, end.exit_code, end.signal) == ("exited", code, None)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE])
def test_a_signal_is_reported_as_one(bench: Bench, number: signal.Signals) -> None:
    end = bench.run(f"kill -{number.value} $$").end

    assert (end.cause, end.exit_code, end.signal) == ("exited", None, number.value)


class TestNotStarted:
    def test_no_such_command(self, bench: Bench) -> None:
        self.expect(bench, ["no-such-program"], "no such command: no-such-program")

    def test_no_such_path(self, bench: Bench) -> None:
        self.expect(bench, ["./no-such-program"], "no such command: ./no-such-program")

    def test_no_such_directory(self, bench: Bench, tmp_path: Path) -> None:
        away = f"{tmp_path}/away"
        self.expect(bench, ["true"], f"no such directory: {away}", cwd=away)

    def test_a_file_in_place_of_the_directory(self, bench: Bench, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        place = f"{tmp_path}/file"
        self.expect(bench, ["true"], f"no such directory: {place}", cwd=place)

    def test_a_snippet_in_no_such_directory(self, bench: Bench, tmp_path: Path) -> None:
        away = f"{tmp_path}/away"
        self.expect(bench, "pass", f"no such directory: {away}", cwd=away, kind="python")

    def test_a_file_that_is_not_executable(self, bench: Bench, tmp_path: Path) -> None:
        path = self.script(tmp_path, "#!/bin/sh\n", mode=0o644)
        self.expect(bench, [path], "it cannot be started: Permission denied")

    def test_a_directory(self, bench: Bench, tmp_path: Path) -> None:
        self.expect(bench, [str(tmp_path)], "it cannot be started: Permission denied")

    def test_a_file_that_is_no_program(self, bench: Bench, tmp_path: Path) -> None:
        path = self.script(tmp_path, "just words\n")
        self.expect(bench, [path], "it cannot be started: Exec format error")

    def test_a_script_whose_interpreter_is_not_there(self, bench: Bench, tmp_path: Path) -> None:
        path = self.script(tmp_path, "#!/bin/sh\r\necho from Windows\r\n")
        self.expect(bench, [path], f"no such interpreter as the first line of {path} names")

    def test_an_argument_that_is_too_long(self, bench: Bench) -> None:
        text = "x" * (4 << 20)
        self.expect(bench, ["echo", text], "it cannot be started: Argument list too long")

    def test_a_command_that_cannot_even_be_named(self, bench: Bench) -> None:
        end = bench.run(["echo", "a\0b"]).end
        assert end.cause == "not_started"

    def test_logs_that_cannot_be_written(self, bench: Bench, tmp_path: Path) -> None:
        run = bench.prepare(["true"])._replace(stderr=f"{tmp_path}/no/such/directory")
        bench.launcher.start([run])
        end = bench.end_of(run.key)
        assert end.cause == "not_started"
        assert "its log cannot be written" in (end.detail or "")

    def test_it_leaves_no_descriptor_open(self, bench: Bench, tmp_path: Path) -> None:
        bench.run(["true"])
        before = os.listdir(f"/proc/{bench.launcher.pid}/fd")
        for command in (["no-such-program"], [str(tmp_path)]):
            bench.run(command)
        run = bench.prepare(["true"])._replace(stderr=f"{tmp_path}/no/such/directory")
        bench.launcher.start([run])
        bench.end_of(run.key)
        assert os.listdir(f"/proc/{bench.launcher.pid}/fd") == before

    @staticmethod
    def script(directory: Path, text: str, mode: int = 0o755) -> str:
        path = directory / "script"
        path.write_text(text, newline="")
        path.chmod(mode)
        return str(path)

    @staticmethod
    def expect(bench: Bench, command: str | list[str], detail: str, **fields: str) -> None:
        end = bench.run(command, **fields).end
        assert (end.cause, end.detail) == ("not_started", detail)
        assert (end.exit_code, end.signal, end.cpu_seconds) == (None, None, None)
        assert bench.run(["echo", "next"]).out == b"next\n"


def test_used_time_and_memory_are_those_of_the_job(bench: Bench) -> None:
    hungry = [sys.executable, "-c", "x = b'x' * (96 << 20)\nfor i in range(3_000_000): pass"]

    end, rest = bench.run(hungry).end, bench.run(["true"]).end

    assert 0.05 < (end.cpu_seconds or 0) < 10
    assert 96 << 20 < (end.max_rss_bytes or 0) < 300 << 20
    assert 0 <= (rest.cpu_seconds or 0) < 0.5
    assert 0 < (rest.max_rss_bytes or 0) < 64 << 20


def test_time_and_memory_of_children_that_were_waited_for_count(bench: Bench) -> None:
    child = f"{sys.executable} -c 'for i in range(3_000_000): pass'; true"

    assert (bench.run(child).end.cpu_seconds or 0) > 0.05


def test_a_broken_pipe_ends_a_writer(bench: Bench) -> None:
    ran = bench.run("yes | head -1; echo ${PIPESTATUS:-done}")

    assert (ran.out, ran.err) == (b"y\ndone\n", b"")


def test_no_signal_is_blocked_or_ignored(bench: Bench) -> None:
    assert blocked_and_ignored(bench.run(["cat", "/proc/self/status"]).out) == (0, 0)


def test_no_signal_is_blocked_or_ignored_whoever_started_the_worker(tmp_path: Path) -> None:
    """Service managers, ``nohup`` and shells leave all sorts of signals ignored or blocked."""
    code = (
        "import signal, sys; from pathlib import Path; from tests.support.launching import Bench\n"
        "for name in ('SIGCHLD', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGPIPE'):\n"
        "    signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])\n"
        "with Bench(Path(sys.argv[1])) as bench:\n"
        "    for ran in (\n"
        "        bench.run(['cat', '/proc/self/status']),\n"
        "        bench.snippet('print(open(\"/proc/self/status\").read())'),\n"
        "    ):\n"
        "        assert ran.end.exit_code == 0, ran\n"
        "        print('x', ran.out.decode())\n"
    )
    command = [sys.executable, "-c", code, tmp_path]
    out = subprocess.run(
        command, stdout=subprocess.PIPE, check=True, timeout=30, cwd=PROJECT
    ).stdout

    command, snippet = out.split(b"x Name:")[1:]
    assert blocked_and_ignored(command) == (0, 0)
    # Python itself ignores these two in every program of its own.
    python = sum(1 << number - 1 for number in (signal.SIGPIPE, signal.SIGXFSZ))
    assert blocked_and_ignored(snippet) == (0, python)


def blocked_and_ignored(status: bytes) -> tuple[int, int]:
    fields = dict(line.split(":\t", 1) for line in status.decode().splitlines() if ":\t" in line)
    private = 0b11 << 31  # two signals of the C library's own, which it ignores in any child
    return int(fields["SigBlk"], 16), int(fields["SigIgn"], 16) & ~private


def test_output_may_hold_any_bytes(bench: Bench, tmp_path: Path) -> None:
    blob = bytes(range(256)) * 64 + b"\0" * 5000 + b"\x1b[2J\xff"
    (tmp_path / "blob").write_bytes(blob)

    ran = bench.run(f"cat {tmp_path}/blob; cat {tmp_path}/blob >&2")

    assert ran.out == ran.err == blob


def test_attempts_without_output_leave_no_files(tmp_path: Path) -> None:
    with Bench(tmp_path) as bench:
        keys = [bench.start(["true"]) for _ in range(20)]
        assert all(bench.ran(key).out == b"" for key in keys)
        files = list(bench.stdout(keys[0]).parent.iterdir())
        assert all(path.stat().st_size == 0 for path in files)
        assert len(files) <= 2 * len(keys)

    assert list(bench.stdout(keys[0]).parent.iterdir()) == []


def test_many_attempts_at_once_keep_their_output_apart(bench: Bench) -> None:
    keys = [bench.start(f"for i in 1 2 3 4 5; do echo {n}; done") for n in range(60)]

    for n, key in enumerate(keys):
        assert bench.ran(key).out == f"{n}\n".encode() * 5


def test_more_attempts_than_the_usual_limit_of_open_files_run_at_once(tmp_path: Path) -> None:
    start = "ulimit -S -n 64; exec {} -c '{}' {}"
    code = (
        "import sys; from pathlib import Path; from tests.support.launching import Bench\n"
        "with Bench(Path(sys.argv[1])) as bench:\n"
        '    keys = [bench.start(["sleep", "0.3"]) for _ in range(80)]\n'
        '    assert {bench.end_of(key)[1:4] for key in keys} == {("exited", 0, None)}\n'
    )
    line = start.format(sys.executable, code, tmp_path)
    subprocess.run(["/bin/sh", "-c", line], check=True, timeout=30, cwd=PROJECT)
