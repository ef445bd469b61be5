"""How processes on one home find and wake each other."""

from __future__ import annotations

import os
import select
import subprocess
from pathlib import Path

import pytest

from runyard.engine import presence
from runyard.engine.presence import WakePipe
from runyard.execution.ledger import Ledger


@pytest.fixture
def run(home: Path) -> Path:
    """Where workers of a home leave their marks."""
    path = home / "run"
    path.mkdir()
    return path


def is_woken(pipe: WakePipe, seconds: float = 0.0) -> bool:
    return bool(select.select([pipe], [], [], seconds)[0])


class TestWaking:
    def test_all_workers_of_a_home_are_woken(self, run: Path) -> None:
        pipes = [WakePipe(run, f"worker-{n}") for n in range(3)]
        presence.wake_workers(run)

        assert all(map(is_woken, pipes))

    def test_a_wake_up_is_forgotten_once_it_is_cleared(self, run: Path) -> None:
        pipe = WakePipe(run, "worker-1")
        for _ in range(3):
            pipe.wake()
        pipe.clear()

        assert not is_woken(pipe)

    def test_one_without_a_sleeper_is_not_waited_for(self, run: Path) -> None:
        """Its worker was killed; or the pipe is something else altogether."""
        os.mkfifo(run / "worker-dead.wake")
        (run / "worker-odd.wake").mkdir()
        pipe = WakePipe(run, "worker-live")
        presence.wake_workers(run)

        assert is_woken(pipe)

    def test_a_pipe_that_is_full_is_full_enough(self, run: Path) -> None:
        pipe = WakePipe(run, "worker-1")
        for _ in range(70_000):
            pipe.wake()
        presence.wake_workers(run)
        assert is_woken(pipe)
        pipe.clear()

        assert not is_woken(pipe)

    def test_a_closed_pipe_leaves_nothing(self, run: Path) -> None:
        WakePipe(run, "worker-1").close()

        assert list(run.iterdir()) == []


class TestServed:
    def test_a_home_without_workers_is_not(self, run: Path) -> None:
        assert not presence.is_served(run)

    def test_one_with_a_worker_is(self, run: Path) -> None:
        book = Ledger(run / "worker-1.ledger")
        assert presence.is_served(run)
        os.close(book._fd)

        assert not presence.is_served(run)

    def test_a_worker_that_serves_only_a_foreground_run_does_not_count(self, run: Path) -> None:
        Ledger(run / "run-1.ledger")

        assert not presence.is_served(run)

    def test_one_that_is_about_to_begin_counts(self, run: Path) -> None:
        lock = presence.take_background_lock(run)
        assert lock is not None
        assert presence.is_served(run)
        os.close(lock)

        assert not presence.is_served(run)


class TestBackgroundLock:
    def test_only_one_gets_it(self, run: Path) -> None:
        first = presence.take_background_lock(run)
        assert first is not None
        assert presence.take_background_lock(run) is None
        os.close(first)

        second = presence.take_background_lock(run)
        assert second is not None
        os.close(second)

    def test_it_can_be_left_to_a_child_and_goes_with_that(self, run: Path) -> None:
        lock = presence.take_background_lock(run)
        assert lock is not None
        with subprocess.Popen(["sleep", "600"], pass_fds=[lock]) as child:
            os.close(lock)
            assert presence.take_background_lock(run) is None
            child.kill()
            child.wait()

        lock = presence.take_background_lock(run)
        assert lock is not None
        os.close(lock)
