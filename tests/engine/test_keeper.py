"""The keeper renews in time, and at once after the host has slept."""

from __future__ import annotations

import pytest

from runyard.clock import ManualClock
from runyard.engine.keeper import MARGIN, Keeper
from runyard.errors import StoreError
from runyard.store.database import Store
from runyard.store.leases import Renewed
from tests.store.support import LEASE, claim, get, row, submit

WORKER = "w1"


class Kept:
    """A keeper of a worker that holds one job, and what it told."""

    def __init__(self, store: Store, clock: ManualClock, lease: float = LEASE) -> None:
        self.extended: list[float] = []
        self.told: list[Renewed] = []
        (self.seq,) = submit(store, "job")
        claim(store, worker=WORKER, lease_seconds=lease)
        self.keeper = Keeper(
            store, WORKER, lease, clock, self.extended.append, lambda r, _: self.told.append(r)
        )


@pytest.fixture
def kept(store: Store, clock: ManualClock) -> Kept:
    return Kept(store, clock)


def test_it_renews_when_it_is_first_called(kept: Kept, store: Store, clock: ManualClock) -> None:
    clock.advance(LEASE / 2)
    kept.keeper()

    assert row(store, kept.seq).lease_until == clock.now() + LEASE
    assert kept.told == [Renewed(frozenset({(kept.seq, 1)}), frozenset())]


def test_attempts_may_go_on_for_less_than_the_lease(kept: Kept) -> None:
    kept.keeper()

    assert kept.extended == [LEASE * (1 - MARGIN)]


def test_time_that_the_question_took_is_not_given_to_attempts(
    kept: Kept, store: Store, clock: ManualClock
) -> None:
    """Counted from before the question: the answer may have been on its way for long."""
    asked = store.write

    def slow(*args: object, **options: object) -> object:
        clock.advance(3)
        return asked(*args, **options)  # type: ignore[arg-type]

    store.write = slow  # type: ignore[method-assign]
    kept.keeper()

    assert kept.extended == [LEASE * (1 - MARGIN) - 3]


def test_it_does_not_renew_again_before_a_third_of_the_lease(
    kept: Kept, clock: ManualClock
) -> None:
    kept.keeper()
    clock.advance(LEASE / 3 - 1)
    kept.keeper()
    assert len(kept.told) == 1
    clock.advance(1)
    kept.keeper()

    assert len(kept.told) == 2


def test_it_renews_at_once_when_the_host_has_slept(
    kept: Kept, store: Store, clock: ManualClock
) -> None:
    kept.keeper()
    clock.jump(3600)
    kept.keeper()

    assert row(store, kept.seq).lease_until == clock.now() + LEASE
    assert get(store, kept.seq).state == "running"


@pytest.mark.parametrize("seconds", [LEASE / 4, -3600.0])
def test_a_small_step_of_the_clock_or_one_back_is_no_sleep(
    kept: Kept, clock: ManualClock, seconds: float
) -> None:
    kept.keeper()
    clock.jump(seconds)
    kept.keeper()

    assert len(kept.told) == 1


def test_it_looks_often_enough_to_notice_a_sleep_soon(store: Store, clock: ManualClock) -> None:
    assert Kept(store, clock).keeper.interval == 1.0
    assert Kept(store, clock, lease=2.0).keeper.interval == pytest.approx(0.2)


def test_it_tells_of_jobs_that_are_to_be_cancelled(kept: Kept, store: Store) -> None:
    from runyard.store import control

    store.write(lambda tx: control.cancel(tx, [kept.seq]))
    kept.keeper()

    assert kept.told[0].cancel == {(kept.seq, 1)}


def test_when_the_store_is_away_nothing_is_extended_and_it_asks_again_soon(
    kept: Kept, store: Store
) -> None:
    asked = store.write

    def refuse(*args: object, **options: object) -> object:
        raise StoreError("away")

    store.write = refuse  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        kept.keeper()
    assert kept.extended == kept.told == []

    store.write = asked  # type: ignore[method-assign]
    kept.keeper()
    assert len(kept.extended) == 1
