"""The launcher: what it does when its worker is slow, silent or gone."""

from __future__ import annotations

import os
import select
import signal
import threading
import time

from runyard.execution.attempt import GRACE
from tests.support.launching import Bench
from tests.support.processes import are_gone, eventually, is_alive, state_of


def hang_up(bench: Bench) -> None:
    """What the kernel does to the worker's end when the worker is killed."""
    bench.launcher._socket.close()


class TestLease:
    def test_what_runs_is_killed_at_its_end(self, bench: Bench) -> None:
        key = bench.start("trap '' TERM; echo $$; setsid sleep 600 & while :; do sleep 1; done")
        pid = bench.pids(key)[0]
        begun = time.monotonic()

        bench.launcher.lease(0.5)

        assert bench.end_of(key)[1:4] == ("fenced", None, signal.SIGKILL)
        assert 0.5 <= time.monotonic() - begun < 0.5 + GRACE
        assert are_gone(pid)

    def test_a_renewal_lets_it_go_on(self, bench: Bench) -> None:
        key = bench.start("while [ ! -e go ]; do sleep 0.02; done")
        bench.launcher.lease(1.0)
        bench.launcher.lease(600.0)
        time.sleep(1.2)
        (bench.root / "go").touch()

        assert bench.end_of(key).cause == "exited"

    def test_it_is_watched_though_nobody_reads_what_ended(self, bench: Bench) -> None:
        """As when the worker is stopped: its socket fills, and the launcher must not wait."""
        long = bench.start("echo $$; exec sleep 600")
        pid = bench.pids(long)[0]
        many = [bench.start(["x" * 100_000]) for _ in range(20)]  # with much to say each
        bench.launcher.lease(0.5)

        eventually(lambda: not is_alive(pid), 10)

        bench.launcher.lease(600.0)
        assert bench.end_of(long).cause == "fenced"
        assert {bench.end_of(key).cause for key in many} == {"not_started"}

    def test_all_are_killed_at_once_however_many_there_are(self, bench: Bench) -> None:
        keys = [bench.start(["sleep", "600"]) for _ in range(300)]
        bench.launcher.lease(2.0)

        ends = [bench.end_of(key) for key in keys]

        assert {end.cause for end in ends} == {"fenced"}

    def test_an_old_message_does_not_extend_it(self, bench: Bench) -> None:
        """A launcher that was stopped meanwhile finds the renewal in its socket: the time it
        speaks of is over."""
        key = bench.start("echo $$; exec sleep 600")
        bench.words(key)
        os.kill(bench.launcher.pid, signal.SIGSTOP)
        bench.launcher.lease(2.0)
        eventually(lambda: state_of(bench.launcher.pid) == "T")
        time.sleep(2.1)
        os.kill(bench.launcher.pid, signal.SIGCONT)

        begun = time.monotonic()
        assert bench.end_of(key).cause == "fenced"
        assert time.monotonic() - begun < 2.0


class TestHangUp:
    def test_everything_is_killed_at_once(self, bench: Bench) -> None:
        keys = [
            bench.start("trap '' TERM; echo $$; while :; do sleep 0.05; done"),
            bench.start("setsid sh -c 'echo $$; exec sleep 600' & sleep 600"),
            bench.start("import os; print(os.getpid(), flush=True)\nwhile 1: pass", kind="python"),
        ]
        pids = [bench.pids(key)[0] for key in keys]
        begun = time.monotonic()

        hang_up(bench)

        eventually(lambda: are_gone(*pids, bench.launcher.pid))
        assert time.monotonic() - begun < GRACE * 0.8

    def test_the_ledger_stays_so_that_others_learn_of_it_at_once(self, bench: Bench) -> None:
        hang_up(bench)
        eventually(lambda: are_gone(bench.launcher.pid))

        assert bench.ledger.exists()


class TestStop:
    def test_it_ends_what_runs_and_leaves(self, bench: Bench) -> None:
        key = bench.start("trap 'echo tidied; exit 3' TERM; echo $$; while :; do sleep 0.02; done")
        bench.words(key)

        bench.launcher.stop(5.0)

        end = bench.end_of(key)
        assert (end.cause, end.exit_code) == ("released", 3)
        assert bench.out(key).endswith(b"tidied\n")
        eventually(lambda: are_gone(bench.launcher.pid))

    def test_it_leaves_at_once_when_nothing_runs(self, bench: Bench) -> None:
        bench.run(["true"])
        bench.launcher.stop(60.0)

        eventually(lambda: are_gone(bench.launcher.pid))


def test_signals_meant_for_the_worker_do_not_end_it(bench: Bench) -> None:
    key = bench.start("echo on; while [ ! -e go ]; do sleep 0.02; done")
    bench.words(key)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(bench.launcher.pid, number)
    (bench.root / "go").touch()

    assert bench.end_of(key).exit_code == 0


def test_it_is_no_part_of_the_group_that_a_terminal_interrupts(bench: Bench) -> None:
    assert os.getpgid(bench.launcher.pid) != os.getpgid(0)


def test_long_messages_arrive_whole_among_renewals_from_another_thread(bench: Bench) -> None:
    stopped = threading.Event()

    def renew() -> None:
        while not stopped.is_set():
            bench.launcher.lease(600.0)

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        for _ in range(5):
            runs = [bench.prepare(["true", "x" * 100_000]) for _ in range(20)]
            bench.launcher.start(runs)
            assert {bench.end_of(run.key).exit_code for run in runs} == {0}
    finally:
        stopped.set()
        renewing.join()


def test_nothing_waits_for_ever_when_both_sides_have_much_to_say(bench: Bench) -> None:
    for _ in range(20):
        bench.start(["x" * 100_000])
    runs = [bench.prepare(["true", "x" * 100_000]) for _ in range(30)]

    bench.launcher.start(runs)

    assert {bench.end_of(run.key).exit_code for run in runs} == {0}


def test_asking_what_ended_does_not_wait_even_while_another_thread_renews(bench: Bench) -> None:
    """Both use one socket: a renewal once made a look at it wait for the next message."""
    stopped = threading.Event()

    def renew() -> None:
        while not stopped.is_set():
            bench.launcher.lease(600.0)

    renewing = threading.Thread(target=renew)
    renewing.start()
    looking = threading.Thread(target=lambda: [bench.launcher.ended() for _ in range(20_000)])
    looking.start()
    looking.join(20)
    was_stuck = looking.is_alive()
    stopped.set()
    renewing.join()
    if was_stuck:  # let it go, so that only this test fails
        bench.start(["true"])
        looking.join()

    assert not was_stuck


def test_it_idles_without_using_time(bench: Bench) -> None:
    bench.run("(sleep 600 &); setsid sleep 600 & true")
    before = cpu_seconds(bench.launcher.pid)
    select.select([bench.launcher], [], [], 0.5)

    assert cpu_seconds(bench.launcher.pid) - before < 0.05


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class TestNext:
    """What is to start on a slot that is taken begins when that is free."""

    def test_it_begins_when_what_runs_has_ended(self, bench: Bench) -> None:
        first = bench.start("while [ ! -e over ]; do sleep 0.01; done", slot=7)
        later = [bench.start(["touch", f"begun-{n}"], slot=7) for n in range(2)]
        other = bench.start(["true"], slot=8)
        bench.end_of(other)
        assert not list(bench.root.glob("begun-*"))

        (bench.root / "over").touch()

        assert [bench.end_of(key).exit_code for key in (first, *later)] == [0, 0, 0]
        assert list(bench.ends)[-3:] == [first, *later]

    def test_one_that_cannot_start_lets_the_next_begin(self, bench: Bench) -> None:
        first = bench.start("while [ ! -e go ]; do sleep 0.01; done", slot=7)
        broken, last = bench.start(["no-such-program"], slot=7), bench.start(["true"], slot=7)
        (bench.root / "go").touch()

        assert bench.end_of(last).exit_code == 0
        assert bench.end_of(broken).cause == "not_started"
        assert bench.end_of(first).exit_code == 0

    def test_it_can_be_taken_back_until_it_has_begun(self, bench: Bench) -> None:
        first, second = bench.start(["sleep", "600"], slot=7), bench.start(["true"], slot=7)
        bench.launcher.drop([first, second])

        assert bench.end_of(second)[1:4] == ("released", None, None)
        bench.launcher.kill([first], "cancelled")
        assert bench.end_of(first).cause == "cancelled"

    def test_a_snippet_may_be_next(self, bench: Bench) -> None:
        first = bench.start(["sleep", "0.05"], slot=7)
        assert bench.snippet("print(6 * 7)", slot=7).out == b"42\n"
        bench.end_of(first)

    def test_it_is_ended_with_what_runs(self, bench: Bench) -> None:
        cases = {
            "cancelled": lambda keys: bench.launcher.kill(keys, "cancelled"),
            "fenced": lambda keys: bench.launcher.kill(keys, "fenced"),
        }
        for cause, end in cases.items():
            keys = [bench.start(["sleep", "600"], slot=7) for _ in range(3)]
            end(keys)
            assert [bench.end_of(key).cause for key in keys] == [cause] * 3

    def test_it_does_not_outlive_the_lease(self, bench: Bench) -> None:
        keys = [bench.start(["sleep", "600"], slot=7) for _ in range(2)]
        bench.launcher.lease(0.2)

        assert [bench.end_of(key).cause for key in keys] == ["fenced"] * 2

    def test_it_does_not_begin_after_the_lease(self, bench: Bench) -> None:
        """Though the launcher, stopped for a while, hears of the end of the one before only then:
        somebody else may run it by now."""
        first = bench.start("echo $$; exec sleep 600", slot=7)
        second = bench.start(["touch", "begun"], slot=7)
        (pid,) = bench.pids(first)
        os.kill(bench.launcher.pid, signal.SIGSTOP)
        bench.launcher.lease(0.0)
        os.kill(pid, signal.SIGKILL)
        os.kill(bench.launcher.pid, signal.SIGCONT)

        assert bench.end_of(second).cause == "fenced"
        bench.end_of(first)
        assert not (bench.root / "begun").exists()

    def test_a_stop_gives_it_back(self, bench: Bench) -> None:
        first, second = bench.start(["sleep", "600"], slot=7), bench.start(["true"], slot=7)
        bench.launcher.stop(grace=5.0)

        assert bench.end_of(second).cause == "released"
        assert bench.end_of(first).cause == "released"

    def test_it_is_forgotten_when_the_worker_is_gone(self, bench: Bench) -> None:
        line = "echo $$; exec sleep 600"
        pid = bench.pids(bench.start(line, slot=7))[0]
        bench.start(["touch", "begun"], slot=7)
        hang_up(bench)

        eventually(lambda: are_gone(pid, bench.launcher.pid))
        assert not (bench.root / "begun").exists()
