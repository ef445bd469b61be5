"""Leftovers: what a launcher leaves when it is killed, and what must be left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard.execution import ledger
from runyard.execution.ledger import Ledger
from runyard.execution.leftovers import end_leftovers
from runyard.execution.strays import KEY_VARIABLE
from tests.support.launching import Bench
from tests.support.processes import are_gone, eventually, is_alive


def kill_launcher(bench: Bench) -> None:
    os.kill(bench.launcher.pid, signal.SIGKILL)
    bench.launcher._process.wait()


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that belongs to somebody else."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_the_trees_of_a_killed_launcher_are_ended(bench: Bench) -> None:
    snippet = (
        "import os; print(os.getpid(), flush=True)\nif os.fork() == 0: os.setsid()\nwhile 1: pass"
    )
    keys = [
        bench.start("trap '' TERM; echo $$; (sleep 600 & echo $!; wait)"),
        bench.start("setsid sh -c 'echo $$; exec sleep 600' & echo $$; exec sleep 600"),
        bench.start("env -i sh -c 'echo $$; sleep 600' & echo $$; wait"),
    ]
    pids = [pid for key in keys for pid in bench.pids(key, 2)]
    pids += bench.pids(bench.start(snippet, kind="python"))
    kill_launcher(bench)
    assert all(map(is_alive, pids))

    assert end_leftovers([bench.ledger]) == [bench.name]

    assert are_gone(*pids)
    assert not bench.ledger.exists()
    assert end_leftovers([bench.ledger]) == []


def test_a_daemon_outlives_neither_although_its_session_leader_is_gone(bench: Bench) -> None:
    key = bench.start("(setsid sh -c 'echo $$; (sleep 600 & echo $!) ; exec true' &); sleep 600")
    pids = bench.pids(key, 2)
    kill_launcher(bench)

    end_leftovers([bench.ledger])

    assert are_gone(*pids)


def test_a_process_that_was_not_entered_yet_is_ended(bench: Bench) -> None:
    """The launcher may die between starting a process and writing that down."""
    key = bench.start("echo $$; exec sleep 600")
    pid = bench.pids(key)[0]
    kill_launcher(bench)
    bench.ledger.write_bytes(b"")

    end_leftovers([bench.ledger])

    assert are_gone(pid)


def test_nothing_is_done_while_the_launcher_lives(bench: Bench) -> None:
    pid = bench.pids(bench.start("echo $$; exec sleep 600"))[0]

    assert end_leftovers([bench.ledger]) == []

    assert is_alive(pid)
    assert bench.ledger.exists()


def test_the_processes_of_other_launchers_are_left_alone(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Bench(tmp_path / "other") as other:
        mine, its = (b.pids(b.start("echo $$; exec sleep 600"))[0] for b in (bench, other))
        kill_launcher(bench)

        assert end_leftovers([other.ledger, bench.ledger]) == [bench.name]

        assert are_gone(mine)
        assert is_alive(its)


class TestReusedIds:
    """A process id in an old ledger says nothing: after a reboot it is somebody else's."""

    def test_a_session_that_began_later_is_left_alone(
        self, tmp_path: Path, stranger: subprocess.Popen[bytes]
    ) -> None:
        path = self.old_ledger(tmp_path, stranger.pid, time.time() - 3600)

        assert end_leftovers([path]) == ["worker-old"]

        assert stranger.poll() is None

    def test_so_is_one_that_began_earlier(
        self, tmp_path: Path, stranger: subprocess.Popen[bytes]
    ) -> None:
        path = self.old_ledger(tmp_path, stranger.pid, time.time() + 3600)

        end_leftovers([path])

        assert stranger.poll() is None

    def test_so_are_the_members_of_a_session_without_a_leader(self, tmp_path: Path) -> None:
        code = (
            "import os\nif os.fork(): os._exit(0)\nprint(os.getsid(0), os.getpid(), flush=True)\n"
        )
        leader = subprocess.Popen(
            [sys.executable, "-c", code + "import time; time.sleep(600)"],
            start_new_session=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert leader.stdout
        with leader.stdout:
            session, member = map(int, leader.stdout.readline().split())
        leader.wait()
        path = self.old_ledger(tmp_path, session, time.time() - 3600)

        end_leftovers([path])

        assert is_alive(member)
        os.kill(member, signal.SIGKILL)

    @staticmethod
    def old_ledger(directory: Path, pid: int, started_at: float) -> Path:
        path = directory / "worker-old.ledger"
        path.write_text(f"{pid} {started_at:.3f} worker-old.1.1\n")
        return path


def test_whoever_looks_does_not_end_itself(tmp_path: Path) -> None:
    """A background worker may have been started by a job of the worker that died."""
    path = tmp_path / "worker-old.ledger"
    path.write_text("")
    code = f"from runyard.execution.leftovers import *; print(end_leftovers([Path({str(path)!r})]))"
    environment = {**os.environ, KEY_VARIABLE: "worker-old.1.1"}

    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, timeout=30, check=True
    ).stdout

    assert out == b"['worker-old']\n"


class TestLedger:
    def test_it_tells_what_runs_where(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger"
        book = Ledger(path)
        book.enter(3, 123, "w.1.1")
        book.enter(1, 124, "w.2.1")
        book.leave(3)

        assert [(entry.pid, entry.key) for entry in ledger.read(path)] == [(124, "w.2.1")]

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"\0" * 300,
            b"12",
            b"12 34.5",
            b"12 x.y key\n",
            b"12 1.5.2 key\n",
            b"\xff\xfe 1.5 key\n",
            b"\xb2 1.5 key\n",
            b"-1 1.5 key\n",
            b"12 1.5 key more\n",
            b"99999999999999999999 1.5 key\n",
        ],
    )
    def test_a_damaged_one_is_read_as_far_as_it_makes_sense(
        self, tmp_path: Path, text: bytes
    ) -> None:
        path = tmp_path / "worker-damaged.ledger"
        path.write_bytes(text)

        assert list(ledger.read(path)) == []
        assert end_leftovers([path]) == ["worker-damaged"]


def test_a_killed_launcher_is_noticed_by_its_worker(bench: Bench) -> None:
    bench.run(["true"])
    os.kill(bench.launcher.pid, signal.SIGKILL)

    eventually(lambda: bench.launcher.ended() == [] and bench.launcher.is_gone)
