"""How attempts are ended, and that nothing of theirs outlives them."""

from __future__ import annotations

import signal
import sys
import time

import pytest

from runyard.execution.attempt import GRACE
from tests.support.launching import Bench
from tests.support.processes import are_gone, eventually, is_alive, state_of

# A daemon as the books have it: forked twice, in a session of its own, holding the output open.
DAEMON = """
import os, sys, time
ready, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.write(tell, b".")
        time.sleep(600)
    os._exit(0)
os.wait()
os.read(ready, 1)
"""
DEAF = "trap '' TERM; echo $$; while :; do sleep 0.05; done"
TIDY = "trap 'sleep 0.2; echo tidied; exit 3' TERM; echo $$; while :; do sleep 0.02; done"

# One that nobody can tell whose it is: also without a variable of its job's.
NAMELESS = """
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sh", ["sh", "-c", "until [ -e go ]; do sleep 0.02; done; echo late"], {})
    os._exit(0)
os.wait()
"""

TIME_TO_START = 2.0  # seconds in which even a busy machine starts a few programs

ENDINGS = pytest.mark.parametrize("ending", ["exit", "timeout", "cancel"])


def end(bench: Bench, key: str, ending: str) -> None:
    """Let a running attempt end; those that end by themselves look for a file."""
    if ending == "cancel":
        bench.launcher.kill([key], "cancelled")
    elif ending == "exit":
        (bench.root / "go").touch()
    cause = {"exit": "exited", "timeout": "timeout", "cancel": "cancelled"}[ending]
    assert bench.end_of(key).cause == cause


def start_until(bench: Bench, ending: str, line: str) -> str:
    """A shell line, then a wait for the end that ``end`` brings about."""
    wait = "while [ ! -e go ]; do sleep 0.02; done"
    return bench.start(f"{line}\n{wait}", timeout=TIME_TO_START if ending == "timeout" else None)


class TestTimeout:
    def test_an_attempt_that_takes_too_long_is_ended(self, bench: Bench) -> None:
        begun = time.monotonic()

        ran = bench.run("echo begun; exec sleep 600", timeout=TIME_TO_START)

        assert ran.end.cause == "timeout"
        assert ran.end.signal == signal.SIGTERM
        assert ran.out == b"begun\n"
        assert TIME_TO_START <= time.monotonic() - begun < TIME_TO_START + GRACE

    def test_an_attempt_that_is_quick_enough_is_not(self, bench: Bench) -> None:
        assert bench.run("sleep 0.2", timeout=20.0).end.cause == "exited"

    def test_it_counts_even_if_the_attempt_then_claims_success(self, bench: Bench) -> None:
        line = "trap 'exit 0' TERM; while :; do sleep 0.02; done"
        ran = bench.run(line, timeout=TIME_TO_START)

        assert (ran.end.cause, ran.end.exit_code) == ("timeout", 0)


class TestSilence:
    def test_an_attempt_that_says_nothing_for_too_long_is_ended(self, bench: Bench) -> None:
        ran = bench.run("echo begun; exec sleep 600", silent_timeout=TIME_TO_START)

        assert (ran.end.cause, ran.out) == ("silent", b"begun\n")

    @pytest.mark.parametrize("stream", [1, 2])
    def test_an_attempt_that_goes_on_writing_is_not(self, bench: Bench, stream: int) -> None:
        line = f"for i in $(seq 25); do sleep 0.1; echo $i >&{stream}; done"

        assert bench.run(line, silent_timeout=2.0).end.cause == "exited"


class TestGrace:
    def test_an_attempt_may_tidy_up(self, bench: Bench) -> None:
        key = bench.start(TIDY)
        bench.pids(key)

        bench.launcher.kill([key], "cancelled")

        ran = bench.ran(key)
        assert (ran.end.cause, ran.end.exit_code) == ("cancelled", 3)
        assert ran.out.endswith(b"tidied\n")

    def test_so_may_its_children_although_the_shell_above_them_is_gone(self, bench: Bench) -> None:
        """``make`` or ``sh`` end at once, the test below them still has a device to give back."""
        key = bench.start(f"({TIDY}); true")
        bench.pids(key)

        bench.launcher.kill([key], "cancelled")

        assert bench.ran(key).out.endswith(b"tidied\n")

    def test_so_may_a_daemon(self, bench: Bench) -> None:
        key = bench.start(f'setsid sh -c "{TIDY}" & wait')
        bench.pids(key)

        bench.launcher.kill([key], "cancelled")

        assert bench.ran(key).out.endswith(b"tidied\n")

    def test_it_is_not_waited_for_longer_than_something_needs_it(self, bench: Bench) -> None:
        key = bench.start("sleep 600 & sleep 600 & echo $$; wait")
        bench.pids(key)
        begun = time.monotonic()

        bench.launcher.kill([key], "cancelled")

        bench.end_of(key)
        assert time.monotonic() - begun < GRACE * 0.8

    def test_what_does_not_listen_is_killed_after_it(self, bench: Bench) -> None:
        """One wait for all: a deaf shell, a stopped one, a deaf child of one, a deaf daemon."""
        lines = [
            DEAF,
            "echo $$; kill -STOP $$",
            f"({DEAF}); true",
            f'setsid sh -c "{DEAF}" & sleep 600',
        ]
        begun = time.monotonic()
        keys = [bench.start(line, timeout=TIME_TO_START) for line in lines]
        pids = [bench.pids(key)[0] for key in keys]

        ends = [bench.end_of(key) for key in keys]

        assert time.monotonic() - begun >= TIME_TO_START + GRACE
        assert {end.cause for end in ends} == {"timeout"}
        kill, term = signal.SIGKILL, signal.SIGTERM
        assert [end.signal for end in ends] == [kill, kill, term, term]
        assert are_gone(*pids)

    def test_a_stop_without_grace_cuts_short_one_that_was_under_way(self, bench: Bench) -> None:
        key = bench.start(DEAF)
        pid = bench.pids(key)[0]
        bench.launcher.kill([key], "cancelled")

        bench.launcher.stop(0.0)

        eventually(lambda: are_gone(pid), GRACE / 2)


class TestWholeTree:
    @ENDINGS
    def test_children_that_hold_the_output_open(self, bench: Bench, ending: str) -> None:
        key = start_until(bench, ending, "sleep 600 & echo $!; (sleep 600 & echo $!)")
        pids = bench.pids(key, 2)

        end(bench, key, ending)

        assert are_gone(*pids)

    @ENDINGS
    def test_daemons(self, bench: Bench, ending: str) -> None:
        key = start_until(bench, ending, f"{sys.executable} -c '{DAEMON}'")
        pids = bench.pids(key)
        eventually(lambda: state_of(pids[0]) == "S")

        end(bench, key, ending)

        assert are_gone(*pids)

    def test_daemons_of_a_snippet_that_start_no_other_program(self, bench: Bench) -> None:
        other = bench.start("sleep 600")  # or all strays there are would be the snippet's
        ran = bench.snippet(DAEMON)

        assert are_gone(int(ran.out))
        assert ran.end.exit_code == 0
        bench.launcher.kill([other], "cancelled")

    def test_a_family_of_daemons(self, bench: Bench) -> None:
        """Each has a session of its own and is a child of the one before it until that ends."""
        other = bench.start("sleep 600")
        script = bench.root / "nest"
        script.write_text(
            'echo $$\n[ "$1" -gt 4 ] || setsid sh "$0" $(($1 + 1)) &\nexec sleep 600\n'
        )
        key = start_until(bench, "exit", f"setsid sh {script} 1 &")
        pids = bench.pids(key, 5)

        end(bench, key, "exit")

        assert len(set(pids)) == 5
        assert are_gone(*pids)
        bench.launcher.kill([other], "cancelled")

    def test_a_daemon_that_wiped_its_environment(self, bench: Bench) -> None:
        key = start_until(bench, "exit", "env -i setsid sh -c 'echo $$; exec sleep 600' &")
        pids = bench.pids(key)

        end(bench, key, "exit")

        assert are_gone(*pids)

    def test_the_daemons_of_two_attempts_are_told_apart(self, bench: Bench) -> None:
        line = f"{sys.executable} -c '{DAEMON}'"
        mine, other = start_until(bench, "exit", line), bench.start(f"{line}; sleep 600")
        (my_daemon,), (its_daemon,) = bench.pids(mine), bench.pids(other)

        bench.launcher.kill([mine], "cancelled")
        bench.end_of(mine)

        assert not is_alive(my_daemon)
        assert is_alive(its_daemon)
        bench.launcher.kill([other], "cancelled")
        bench.end_of(other)
        assert not is_alive(its_daemon)

    def test_no_zombies_pile_up(self, bench: Bench) -> None:
        """Orphans become the launcher's children: it has to reap them, too."""
        for _ in range(20):
            bench.run("sleep 600 & (sleep 600 &) ; true & setsid true & exit 0")
        long = bench.start("(true &); (setsid true &); echo done; sleep 600")
        bench.words(long)

        def children() -> list[str]:
            path = f"/proc/{bench.launcher.pid}/task/{bench.launcher.pid}/children"
            with open(path) as file:
                return file.read().split()

        eventually(lambda: len(children()) == 1)
        bench.launcher.kill([long], "cancelled")


def test_ending_an_attempt_that_has_ended_does_nothing(bench: Bench) -> None:
    key = bench.start(["true"])
    bench.end_of(key)

    bench.launcher.kill([key, "never-heard-of"], "cancelled")

    assert bench.run(["echo", "next"]).out == b"next\n"


def test_the_first_cause_counts(bench: Bench) -> None:
    line = "trap 'echo asked' TERM; while [ ! -e go ]; do sleep 0.02; done; exit 4"
    key = bench.start(line, timeout=TIME_TO_START)
    bench.words(key)

    bench.launcher.kill([key], "cancelled")
    (bench.root / "go").touch()

    assert bench.end_of(key)[1:3] == ("timeout", 4)


def test_what_a_nameless_daemon_writes_is_not_taken_for_another_attempt_s(bench: Bench) -> None:
    other = bench.start(["sleep", "600"])  # alone, the daemon would be known and ended
    bench.run([sys.executable, "-c", NAMELESS])
    (bench.root / "go").touch()

    after = [bench.run("sleep 0.2") for _ in range(2)]

    assert [(ran.out, ran.err) for ran in after] == [(b"", b"")] * 2
    bench.launcher.kill([other], "cancelled")
    bench.end_of(other)
