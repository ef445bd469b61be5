"""The reaper takes back what workers that are gone have held, and from no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from runyard.clock import ManualClock
from runyard.engine import presence
from runyard.engine.reaper import FORGET_AFTER, Reaper
from runyard.execution.ledger import Ledger
from runyard.store import registry
from runyard.store.database import Store
from runyard.store.registry import WorkerInfo
from tests.store.support import LEASE, claim, get, history, states, submit


class Reaping:
    """A reaper and how often it woke its worker."""

    def __init__(self, store: Store, home: Path, clock: ManualClock) -> None:
        self.woken = 0
        self.reaper = Reaper(store, home / "run", LEASE, clock, self._wake, "worker-own")

    def _wake(self) -> None:
        self.woken += 1

    def __call__(self) -> None:
        self.reaper()


@pytest.fixture
def reap(store: Store, home: Path, clock: ManualClock) -> Reaping:
    return Reaping(store, home, clock)


def held(store: Store, worker: str = "worker-else") -> int:
    (seq,) = submit(store, "job")
    claim(store, worker=worker)
    return seq


def sign_on(store: Store, worker: str, pool: str = "") -> None:
    store.write(lambda tx: registry.sign_on(tx, WorkerInfo(worker, "host", 1, 2, pool)))


def registered(store: Store) -> list[str]:
    with store.read() as tx:
        return [info.id for info in registry.live(tx, 0.0)]


def test_a_lease_that_ran_out_is_taken_back(
    reap: Reaping, store: Store, clock: ManualClock
) -> None:
    seq = held(store)
    clock.advance(LEASE - 1)
    reap()
    assert states(store, seq) == ["running"]
    assert reap.woken == 0

    clock.advance(2)
    reap()

    assert states(store, seq) == ["queued"]
    assert reap.woken == 1


class TestAfterASleep:
    """Every lease looks old, but workers that slept too renew theirs first."""

    def test_it_waits_for_one_lease(self, reap: Reaping, store: Store, clock: ManualClock) -> None:
        seq = held(store)
        reap()
        clock.jump(3600)
        reap()
        reap()

        assert states(store, seq) == ["running"]

    def test_then_it_takes_back_what_nobody_renewed(
        self, reap: Reaping, store: Store, clock: ManualClock
    ) -> None:
        seq = held(store)
        reap()
        clock.jump(3600)
        reap()
        clock.advance(LEASE - 1)
        reap()
        assert states(store, seq) == ["running"]
        clock.advance(1)
        reap()

        assert states(store, seq) == ["queued"]

    def test_a_small_step_of_the_clock_does_not_stop_it(
        self, reap: Reaping, store: Store, clock: ManualClock
    ) -> None:
        seq = held(store)
        clock.advance(LEASE - 1)
        reap()
        clock.jump(2)
        reap()

        assert states(store, seq) == ["queued"]

    def test_a_step_back_makes_leases_longer_and_nothing_worse(
        self, reap: Reaping, store: Store, clock: ManualClock
    ) -> None:
        seq = held(store)
        clock.jump(-3600)
        reap()
        assert states(store, seq) == ["running"]
        clock.advance(3600 + LEASE + 1)
        reap()

        assert states(store, seq) == ["queued"]


class TestDeadNeighbours:
    def test_the_jobs_of_one_come_back_at_once(
        self, reap: Reaping, store: Store, home: Path
    ) -> None:
        sign_on(store, "worker-dead")
        mine, its = held(store, "worker-own"), held(store, "worker-dead")
        presence.ledger_path(home / "run", "worker-dead").touch()
        presence.WakePipe(home / "run", "worker-dead")
        reap()

        assert states(store, mine, its) == ["running", "queued"]
        assert registered(store) == []
        assert list((home / "run").iterdir()) == []
        assert reap.woken == 1
        assert history(store, its)[-1] == "lost"

    def test_those_of_one_that_lives_do_not(self, reap: Reaping, store: Store, home: Path) -> None:
        seq = held(store, "worker-live")
        Ledger(presence.ledger_path(home / "run", "worker-live"))
        reap()

        assert states(store, seq) == ["running"]

    def test_its_own_ledger_is_never_taken_for_a_dead_one(
        self, reap: Reaping, store: Store, home: Path
    ) -> None:
        """Between two launchers, nobody locks it."""
        seq = held(store, "worker-own")
        presence.ledger_path(home / "run", "worker-own").touch()
        reap()

        assert states(store, seq) == ["running"]

    def test_what_only_a_dead_one_would_have_served_is_opened_to_all(
        self, reap: Reaping, store: Store, home: Path
    ) -> None:
        from tests.store.support import new, submit

        sign_on(store, "run-dead", pool="run-dead")
        (seq,) = submit(store, new("job"), pool="run-dead")
        assert claim(store, worker="worker-own") == []
        presence.ledger_path(home / "run", "run-dead").touch()
        reap()

        assert [claimed.seq for claimed in claim(store, worker="worker-own")] == [seq]

    def test_a_job_that_took_too_many_down_is_not_tried_again(
        self, reap: Reaping, store: Store, home: Path
    ) -> None:
        seq = held(store, "worker-1")
        for n in (1, 2, 3):
            presence.ledger_path(home / "run", f"worker-{n}").touch()
            reap()
            claim(store, worker=f"worker-{n + 1}")

        assert get(store, seq).state == "failed"
        assert get(store, seq).reason == "lost"


def test_workers_that_were_silent_for_very_long_are_forgotten(
    reap: Reaping, store: Store, clock: ManualClock
) -> None:
    sign_on(store, "worker-silent")
    sign_on(store, "worker-holder")
    held(store, "worker-holder")
    clock.advance(FORGET_AFTER * LEASE - 1)
    sign_on(store, "worker-new")
    reap()
    assert set(registered(store)) == {"worker-silent", "worker-holder", "worker-new"}

    clock.advance(2)
    reap()

    assert registered(store) == ["worker-new"]
