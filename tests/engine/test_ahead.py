"""Jobs that are over in no time: the next is at hand, and nobody waits for one that is not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from runyard import Runyard, bootstrap
from runyard.config import Settings
from runyard.domain.event import EventKind
from runyard.domain.job import State
from runyard.engine import worker
from runyard.engine.observer import Observer
from runyard.engine.places import AHEAD, Pace
from runyard.engine.worker import WorkerOptions
from runyard.store.claim import Claim
from tests.support.working import ended_once, kinds, work


class Watching(Observer):
    """Notes how many claims were held at once on a slot."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self.most = 0
        self.alive: dict[tuple[int, int], str] = {}

    def claimed(self, claims) -> None:
        self._count()  # of one commit the claims are told before the ends
        self.claims += claims
        self.alive |= {(claim.seq, claim.fence): claim.slot for claim in claims}

    def finished(self, finished) -> None:
        for move in finished.moves:
            self.alive.pop((move.seq, move.fence), None)
        self._count()

    def _count(self) -> None:
        slots = list(self.alive.values())
        self.most = max([self.most, *(slots.count(slot) for slot in set(slots))])


class Freeing(Watching):
    """Makes a file as soon as so many have passed."""

    def __init__(self, go: Path, count: int) -> None:
        super().__init__()
        self._go, self._left = go, count

    def finished(self, finished) -> None:
        super().finished(finished)
        self._left -= sum(move.transition.to is State.PASSED for move in finished.moves)
        if self._left <= 0:
            self._go.touch()


def run(yard: Runyard, home: Path, slots: int = 2, watching: Watching | None = None) -> Watching:
    watching = watching or Watching()
    options = WorkerOptions(slots, idle_exit=0.1, poll_seconds=0.05)
    with bootstrap.worker(Settings.load(home), yard._here.store, options, watching) as working:
        working.run()
    return watching


@pytest.fixture
def always_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is."""
    monkeypatch.setattr(Pace, "QUICK_SECONDS", 600.0)


def test_only_after_many_in_a_row_and_not_after_a_long_one() -> None:
    pace = Pace()
    for _ in range(Pace.IN_A_ROW):
        assert not pace.is_quick
        pace.note(0.001)
    assert pace.is_quick
    pace.note(10 * Pace.QUICK_SECONDS)
    assert not pace.is_quick


@pytest.mark.usefixtures("always_ahead")
def test_many_quick_ones(yard: Runyard, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "NEXT_SECONDS", 60.0)  # and none is given back for it
    batch = yard.submit_batch({"command": ["true"]} for _ in range(200))
    watching = run(yard, home)

    jobs = yard.wait(batch)
    assert {job.state for job in jobs} == {State.PASSED}
    assert 1 < watching.most <= 1 + AHEAD
    ended_once(yard, jobs)
    for job in jobs:
        (attempt,) = job.attempts
        assert attempt.started_at
        assert attempt.finished_at
        assert attempt.started_at <= attempt.finished_at


def test_whoever_waits_behind_a_long_one_is_given_back(
    yard: Runyard, home: Path, tmp_path: Path
) -> None:
    """There are two slots, and the long one keeps one of them until all others have passed."""
    go = tmp_path / "go"
    quick = [yard.submit(["true"]) for _ in range(60)]
    long = yard.submit(f"until [ -e {go} ]; do sleep 0.02; done", timeout=60)
    rest = [yard.submit("echo $RUNYARD_ATTEMPT_NUMBER", kind="shell") for _ in range(60)]
    run(yard, home, watching=Freeing(go, 120))

    assert {yard.get(job).state for job in (*quick, long, *rest)} == {State.PASSED}
    for job in rest:
        assert kinds(yard, job).count(EventKind.RELEASED) <= 1
        assert [attempt.number for attempt in yard.get(job).attempts] == [1]
        assert yard.logs(job)[0] == "1\n"


@pytest.mark.usefixtures("always_ahead")
def test_the_first_that_runs_of_a_job_given_back_is_its_first_attempt(
    any_yard: Runyard, home: Path
) -> None:
    for _ in range(40):
        any_yard.submit(["true"])
    long = "echo $RUNYARD_ATTEMPT_NUMBER; sleep 0.3"
    jobs = [any_yard.submit(long, kind="shell") for _ in range(9)]
    run(any_yard, home, slots=3)

    assert any(EventKind.RELEASED in kinds(any_yard, job) for job in jobs), "some waited in vain"
    assert [any_yard.logs(job)[0] for job in jobs] == ["1\n"] * 9
    assert [len(any_yard.get(job).attempts) for job in jobs] == [1] * 9


@pytest.mark.usefixtures("always_ahead")
def test_what_waits_when_the_launcher_dies_has_lost_nothing(yard: Runyard, home: Path) -> None:
    for _ in range(40):
        yard.submit(["true"])
    killed = home / "killed"
    long = yard.submit(f"[ -e {killed} ] || sleep 600", kind="shell")
    rest = [yard.submit(["true"]) for _ in range(4)]

    class Killing(Watching):
        def claimed(self, claims) -> None:
            super().claimed(claims)
            if (long.id, 1) in {(claim.id, claim.fence) for claim in claims}:
                killed.touch()
                os.kill(working._launcher.pid, signal.SIGKILL)

    options = WorkerOptions(1, idle_exit=0.1, poll_seconds=0.05)
    with bootstrap.worker(Settings.load(home), yard._here.store, options, Killing()) as working:
        working.run()

    assert {yard.get(job).state for job in (long, *rest)} == {State.PASSED}
    for job in rest:
        assert kinds(yard, job).count(EventKind.LOST) == 0


def test_one_that_waits_can_be_cancelled(yard: Runyard, home: Path) -> None:
    for _ in range(40):
        yard.submit(["true"])
    long = yard.submit(["sleep", "600"])
    rest = [yard.submit(["true"]) for _ in range(4)]

    class Cancelling(Watching):
        def claimed(self, claims) -> None:
            super().claimed(claims)
            if long.id in {claim.id for claim in claims}:
                yard.cancel([long, *rest])

    options = WorkerOptions(1, idle_exit=0.1, poll_seconds=0.05)
    with bootstrap.worker(Settings.load(home), yard._here.store, options, Cancelling()) as working:
        working.run()

    states = {yard.get(job).state for job in rest}
    assert yard.get(long).state is State.CANCELLED
    assert states <= {State.CANCELLED, State.PASSED}


def test_limits_hold_for_what_waits_too(yard: Runyard, home: Path) -> None:
    from runyard.policy.fits import Scope

    bootstrap.yardmaster(yard._here.settings, yard._here.store).change_limit(
        Scope.ORG, "default", {"running": 1}
    )
    for _ in range(60):
        yard.submit(["true"])
    assert run(yard, home).most == 1


@pytest.mark.parametrize("kind", ["python", "shell"])
def test_snippets_and_lines_too(yard: Runyard, home: Path, kind: str) -> None:
    text = {"python": "print(6 * 7)", "shell": "echo 42"}[kind]
    jobs = [yard.submit(text, kind=kind) for _ in range(60)]
    work(home)
    assert {yard.logs(job)[0] for job in jobs} == {"42\n"}
