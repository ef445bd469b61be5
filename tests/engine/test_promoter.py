"""The promoter queues delayed jobs when their time has come."""

from __future__ import annotations

import pytest

from runyard.clock import ManualClock
from runyard.engine.promoter import Promoter
from runyard.store.database import Store
from tests.store.support import new, states, submit


@pytest.fixture
def woken() -> list[bool]:
    return []


@pytest.fixture
def promoter(store: Store, woken: list[bool]) -> Promoter:
    return Promoter(store, lambda: woken.append(True))


def test_without_delayed_jobs_it_keeps_to_its_interval(promoter: Promoter) -> None:
    assert promoter() is None


def test_it_sleeps_until_the_next_is_due_but_never_for_long(
    promoter: Promoter, store: Store, clock: ManualClock, woken: list[bool]
) -> None:
    submit(store, new(run_after=clock.now() + 3600), new(run_after=clock.now() + 7200))
    assert promoter() == Promoter.INTERVAL
    clock.advance(3600 - 0.1)

    assert promoter() == pytest.approx(0.1)
    assert woken == []


def test_what_is_due_is_queued_and_the_worker_woken(
    promoter: Promoter, store: Store, clock: ManualClock, woken: list[bool]
) -> None:
    seqs = submit(store, *(new(run_after=clock.now() + n) for n in (1, 2, 3600)))
    clock.advance(2)

    assert promoter() == 0.0

    assert states(store, *seqs) == ["queued", "queued", "delayed"]
    assert woken == [True]
    assert promoter() == Promoter.INTERVAL
