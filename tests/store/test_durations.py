"""Durations: learnt from what passed, told to what is submitted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runyard.clock import ManualClock
from runyard.domain.job import JobSpec
from runyard.store import durations
from runyard.store.database import Store
from runyard.store.durations import ALL
from runyard.store.prune import prune
from tests.store.support import FAIL, PASS, claim, finish, in_parallel, new, submit

KEY = JobSpec(command=["true"]).history_key
HERE = ("local", KEY)


def learn(store: Store) -> int:
    return store.write(durations.learn)


def expected(store: Store, *keys: tuple[str, str]) -> dict[tuple[str, str], float]:
    with store.read() as tx:
        return durations.expected(tx, keys or [HERE])


def run(store: Store, clock: ManualClock, seconds: float, outcome=PASS, **fields: object) -> None:
    submit(store, new(**fields))
    (claimed,) = claim(store)
    clock.advance(seconds)
    finish(store, claimed, outcome)


def test_nothing_is_expected_without_history(store: Store) -> None:
    assert expected(store) == {}
    assert learn(store) == 0


def test_what_passed_tells_what_the_next_run_takes(store: Store, clock: ManualClock) -> None:
    for seconds in (4.0, 5.0, 60.0):
        run(store, clock, seconds)
    assert learn(store) == 3
    assert expected(store) == {HERE: pytest.approx(5.0)}


def test_what_failed_tells_nothing(store: Store, clock: ManualClock) -> None:
    run(store, clock, 4.0, FAIL)
    assert learn(store) == 0
    assert expected(store) == {}


def test_installing_is_no_part_of_it(store: Store, clock: ManualClock) -> None:
    run(store, clock, 70.0, replace(PASS, setup_seconds=60.0))
    learn(store)
    assert expected(store) == {HERE: pytest.approx(10.0)}


def test_a_job_without_history_is_like_others_of_its_target(
    store: Store, clock: ManualClock
) -> None:
    run(store, clock, 8.0, target="device")
    learn(store)
    strange, elsewhere = ("device", "strange"), ("local", "strange")
    assert expected(store, strange, elsewhere) == {strange: pytest.approx(8.0)}


def test_each_run_is_learnt_once(store: Store, clock: ManualClock) -> None:
    run(store, clock, 1.0)
    assert in_parallel(*[lambda: learn(store)] * 4).count(1) == 1
    assert learn(store) == 0
    run(store, clock, 3.0)
    assert learn(store) == 1
    assert expected(store) == {HERE: pytest.approx(2.0)}


def test_there_is_news_until_it_is_learnt(store: Store) -> None:
    def has_news() -> bool:
        with store.read() as tx:
            return durations.has_news(tx)

    assert not has_news()
    submit(store, "a")
    assert has_news()
    learn(store)
    assert not has_news()


def test_who_is_far_behind_learns_the_newest(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durations, "WINDOW", 3)
    monkeypatch.setattr(durations, "FAR_BEHIND", 6)
    for seconds in (100.0, 100.0, 100.0, 2.0):
        run(store, clock, seconds)
    assert learn(store) == 1
    assert expected(store) == {HERE: pytest.approx(2.0)}
    assert learn(store) == 0


def test_history_is_forgotten_with_the_rest(store: Store, clock: ManualClock) -> None:
    run(store, clock, 1.0)
    learn(store)
    clock.advance(100)
    store.write(lambda tx: prune(tx, tx.now - 50))
    assert expected(store, HERE, ("local", ALL)) == {}
