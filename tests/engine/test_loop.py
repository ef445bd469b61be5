"""One life cycle for all loops."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from runyard.engine.loop import Loop
from tests.support.processes import eventually


class Work:
    """Counts its calls; may fail in some of them."""

    def __init__(self, fails: bool = False, wait: float | None = None) -> None:
        self.calls = 0
        self.called = threading.Event()
        self._fails = fails
        self._wait = wait

    def __call__(self) -> float | None:
        self.calls += 1
        self.called.set()
        if self._fails:
            raise RuntimeError(f"call {self.calls}")
        return self._wait


def test_it_begins_at_once_whatever_its_interval() -> None:
    work = Work()
    loop = Loop("test", 3600.0, work)
    loop.start()

    assert work.called.wait(5)
    loop.stop()
    assert work.calls == 1


def test_it_repeats_after_each_interval() -> None:
    work = Work()
    loop = Loop("test", 0.02, work)
    begun = time.monotonic()
    loop.start()
    eventually(lambda: work.calls >= 10)
    loop.stop()

    assert time.monotonic() - begun >= 9 * 0.02 * 0.75


def test_its_work_may_ask_for_another_call_at_once_or_later() -> None:
    soon, late = Work(wait=0.0), Work(wait=3600.0)
    loops = [Loop("soon", 3600.0, soon), Loop("late", 0.0, late)]
    for loop in loops:
        loop.start()
    eventually(lambda: soon.calls > 50 and late.calls)
    for loop in loops:
        loop.stop()

    assert late.calls == 1


def test_an_error_is_told_once_with_its_name_and_it_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Work(fails=True)
    loop = Loop("reaper", 0.01, work)
    with caplog.at_level(logging.WARNING, "runyard"):
        loop.start()
        eventually(lambda: work.calls >= 3)
        loop.stop()

    assert caplog.messages == ["the reaper fails: call 1"]


def test_stopping_waits_for_the_call_under_way_and_makes_no_other() -> None:
    begun, may_end, calls = threading.Event(), threading.Event(), []

    def work() -> None:
        calls.append("begun")
        begun.set()
        may_end.wait(10)
        calls.append("ended")

    loop = Loop("test", 0.0, work)
    loop.start()
    begun.wait(10)
    stopping = threading.Thread(target=loop.stop)
    stopping.start()
    assert calls == ["begun"]
    may_end.set()
    stopping.join(10)

    assert calls == ["begun", "ended"]
    assert not stopping.is_alive()


def test_one_that_never_began_can_be_stopped_and_one_stopped_again() -> None:
    loop = Loop("test", 1.0, Work())
    loop.stop()
    other = Loop("test", 1.0, Work())
    other.start()
    other.stop()
    other.stop()


@pytest.mark.parametrize("fails", [False, True])
def test_hundreds_can_be_started_and_stopped_at_any_moment(fails: bool) -> None:
    before = threading.active_count()
    for _ in range(10):
        works = [Work(fails, wait=0.0 if n == 0 else None) for n in range(20)]
        loops = [Loop(f"loop {n}", 0.002 * (n % 3 + 1), work) for n, work in enumerate(works)]
        for loop in loops:
            loop.start()
        stoppers = [threading.Thread(target=loop.stop) for loop in loops]
        for stopper in stoppers:
            stopper.start()
        for stopper in stoppers:
            stopper.join(10)
        counts = [work.calls for work in works]
        time.sleep(0.005)
        assert [work.calls for work in works] == counts

    assert threading.active_count() <= before
