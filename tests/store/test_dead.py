"""Queues and groups of which nothing is left go, and none that somebody is about to use."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from runyard.clock import ManualClock
from runyard.domain.lifecycle import Outcome
from runyard.engine.pruner import Pruner
from runyard.policy.fits import Scope
from runyard.store import health, prune, registry, rules, tallies
from runyard.store import submit as submits
from runyard.store.database import Store, Tx
from runyard.store.health import SlotChange
from runyard.store.registry import WorkerInfo
from runyard.store.schema import groups, limits, queues, slots
from runyard.store.submit import NewJob
from tests.store.support import (
    PASS,
    claim,
    finish,
    in_parallel,
    new,
    on_postgresql,
    run_next,
    submit,
)
from tests.support.processes import eventually

DAY = 86400.0


@pytest.fixture
def pruner(store: Store, tmp_path: Path) -> Pruner:
    return Pruner(store, tmp_path, DAY)


def left(store: Store) -> tuple[list[int], list[int]]:
    """The queues and the groups that are there."""
    with store.read() as tx:
        return (
            list(tx.conn.execute(select(queues.c.id).order_by(queues.c.id)).scalars()),
            list(tx.conn.execute(select(groups.c.id).order_by(groups.c.id)).scalars()),
        )


def a_run(store: Store, build: str = "v1", outcome: Outcome = PASS) -> int:
    """A job of a build, from beginning to end."""
    (seq,) = submit(store, new(f"of {build}", app_version_id=build))
    run_next(store, outcome)
    store.write(tallies.fold)
    return seq


def prune_all(pruner: Pruner) -> None:
    while pruner() is not None:
        pass


def test_they_go_with_the_last_job_of_theirs(
    store: Store, clock: ManualClock, pruner: Pruner
) -> None:
    a_run(store)
    prune_all(pruner)
    assert left(store) == ([1], [1])
    clock.advance(DAY + 1)
    a_run(store, "v2")
    prune_all(pruner)
    assert left(store) == ([2], [2])


def test_a_number_is_never_given_twice(store: Store, clock: ManualClock, pruner: Pruner) -> None:
    a_run(store)
    clock.advance(DAY + 1)
    prune_all(pruner)
    assert left(store) == ([], [])
    a_run(store)
    assert left(store) == ([2], [2])


def test_a_queue_of_a_group_that_lives_goes_by_itself(
    store: Store, clock: ManualClock, pruner: Pruner
) -> None:
    a_run(store)
    clock.advance(DAY + 1)
    submit(store, new("high", app_version_id="v1", priority=8))
    store.write(tallies.fold)
    prune_all(pruner)
    assert left(store) == ([2], [1])


def test_not_before_its_tallies_are_folded(
    store: Store, clock: ManualClock, pruner: Pruner
) -> None:
    submit(store, new("job", app_version_id="v1"))
    run_next(store)
    clock.advance(DAY + 1)
    prune_all(pruner)
    assert left(store) == ([1], [1])
    store.write(tallies.fold)
    prune_all(pruner)
    assert left(store) == ([], [1])  # it moved just now
    clock.advance(DAY + 1)
    prune_all(pruner)
    assert left(store) == ([], [])


def test_neither_a_group_that_a_slot_holds_nor_one_that_is_paused(
    store: Store, clock: ManualClock, pruner: Pruner
) -> None:
    info = WorkerInfo("w1", "host", 1, 1, places=(("phone", "local"),))
    store.write(lambda tx: registry.sign_on(tx, info))
    for build in ("held", "paused", "gone"):
        a_run(store, build)
    store.write(lambda tx: health.save(tx, "w1", [SlotChange("phone", 1)]))
    store.write(lambda tx: rules.pause(tx, Scope.GROUP, "2"))
    clock.advance(DAY + 1)
    prune_all(pruner)
    assert left(store) == ([], [1, 2])


def test_a_worker_may_remember_one_that_is_gone(store: Store) -> None:
    info = WorkerInfo("w1", "host", 1, 1, places=(("phone", "local"),))
    store.write(lambda tx: registry.sign_on(tx, info))
    change = SlotChange("phone", 77, installed=True)
    store.write(lambda tx: health.save(tx, "w1", [change]))
    with store.read() as tx:
        assert tx.conn.execute(select(slots.c.group_id)).scalars().all() == [None]


def test_many_go_some_at_a_time(store: Store, pruner: Pruner) -> None:
    count = prune.CHUNK + 1

    def make(tx: Tx) -> None:
        rows = [
            {"pool": f"p{n}", "org_id": "o", "target": "t", "app_version_id": ""}
            for n in range(count)
        ]
        tx.conn.execute(insert(groups), rows)

    store.write(make)
    assert pruner() == 0.0
    assert len(left(store)[1]) == 1
    assert pruner() is None
    assert left(store) == ([], [])


def limited(store: Store) -> dict[str, int]:
    """What is limited, and to how many."""
    with store.read() as tx:
        return {name: most for (_, name), most in rules.read(tx, lock=False).maximum.items()}


DB = "default/db"  # as the org's own key is called


def keyed(key: str, limit: int | None = 1) -> NewJob:
    return new(f"of {key}", limit_key=key, limit=limit)


def test_a_limit_that_a_job_asked_for_goes_with_the_last_one_of_its_key(
    store: Store, clock: ManualClock, pruner: Pruner
) -> None:
    submit(store, keyed("db"), keyed("gpu"))
    run_next(store)
    store.write(lambda tx: rules.limit(tx, Scope.KEY, "door", 1))
    store.write(lambda tx: rules.limit(tx, Scope.TARGET, "local", 9))
    store.write(lambda tx: rules.limit(tx, Scope.TARGET, "shelf", 9, by_hand=False))
    clock.advance(DAY + 1)
    store.write(tallies.fold)
    prune_all(pruner)
    assert limited(store) == {"default/gpu": 1, "door": 1, "local": 9, "shelf": 9}
    run_next(store)
    store.write(tallies.fold)
    clock.advance(DAY + 1)
    prune_all(pruner)
    assert limited(store) == {"door": 1, "local": 9, "shelf": 9}
    submit(store, keyed("gpu", 3))
    assert limited(store)["default/gpu"] == 3


def test_a_limit_that_somebody_set_stays(store: Store, clock: ManualClock, pruner: Pruner) -> None:
    submit(store, keyed("db"))
    store.write(lambda tx: rules.limit(tx, Scope.ORG_KEY, DB, 2))
    run_next(store)
    store.write(tallies.fold)
    clock.advance(DAY + 1)
    prune_all(pruner)
    assert limited(store) == {DB: 2}


@on_postgresql
class TestRace:
    """Two transactions on one database with many writers, step by step."""

    def test_what_a_submission_found_is_passed_over(self, store: Store) -> None:
        dead_queue(store)
        found, pruned = threading.Event(), threading.Event()

        def slow(tx: Tx) -> None:
            submits.submit(tx, [new("late", app_version_id="v1")])
            found.set()
            assert pruned.wait(30)

        def bury() -> int:
            assert found.wait(30)
            try:
                return store.write(lambda tx: prune.bury(tx, queues, [1], 0.0))
            finally:
                pruned.set()

        _, buried = in_parallel(partial(store.write, slow), bury)
        assert buried == 0
        assert names(store) == ["late"]

    def test_what_is_being_pruned_is_made_anew(self, store: Store) -> None:
        dead_queue(store)
        buried = threading.Event()

        def bury(tx: Tx) -> None:
            for table in (queues, groups):
                assert prune.bury(tx, table, [1], 9e9) == 1
            buried.set()
            assert is_waiting(store)

        def late() -> None:
            assert buried.wait(30)
            submit(store, new("late", app_version_id="v1"))

        in_parallel(partial(store.write, bury), late)
        assert names(store) == ["late"]
        assert left(store)[1] != [1]

    def test_a_limit_that_a_submission_found_is_passed_over(self, store: Store) -> None:
        store.write(lambda tx: rules.limit(tx, Scope.ORG_KEY, DB, 1, by_hand=False))
        found, pruned = threading.Event(), threading.Event()

        def slow(tx: Tx) -> None:
            submits.submit(tx, [keyed("db")])
            found.set()
            assert pruned.wait(30)

        def bury() -> int:
            assert found.wait(30)
            try:
                return store.write(lambda tx: prune.bury(tx, limits, [DB], 0.0))
            finally:
                pruned.set()

        _, buried = in_parallel(partial(store.write, slow), bury)
        assert buried == 0
        assert limited(store) == {DB: 1}

    def test_a_limit_that_is_being_pruned_is_set_anew(self, store: Store) -> None:
        store.write(lambda tx: rules.limit(tx, Scope.ORG_KEY, DB, 1, by_hand=False))
        buried = threading.Event()

        def bury(tx: Tx) -> None:
            assert prune.bury(tx, limits, [DB], 0.0) == 1
            buried.set()
            assert is_waiting(store)

        def late() -> None:
            assert buried.wait(30)
            submit(store, keyed("db"))

        in_parallel(partial(store.write, bury), late)
        assert limited(store) == {DB: 1}

    def test_a_submission_does_not_wait_for_a_claim(self, store: Store) -> None:
        submit(store, keyed("db"))

        def holding(tx: Tx) -> None:
            rules.read(tx)
            in_parallel(lambda: submit(store, keyed("db")))

        store.write(holding)
        assert len(names(store)) == 1


def dead_queue(store: Store) -> None:
    """The first queue, of the first group, without jobs."""
    group = {"pool": "", "org_id": "default", "target": "local", "app_version_id": "v1"}
    queue = {"group_id": 1, "submitted_by": "", "limit_key": "", "priority": 5}
    store.write(lambda tx: tx.conn.execute(insert(groups), group))
    store.write(lambda tx: tx.conn.execute(insert(queues), queue))


def names(store: Store) -> list[str]:
    return [one.name for one in claim(store, 9)]


def is_waiting(store: Store) -> bool:
    """Until somebody waits for a lock."""
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

    def some() -> bool:
        with store.read() as tx:
            return bool(tx.conn.execute(query).scalar())

    eventually(some)
    return True


class Turnover:
    """Some submit, some work, and one prunes all that has ended at once, so that queues and groups
    die all the time."""

    def __init__(self, store: Store, pruner: Pruner) -> None:
        self.store = store
        self.pruner = pruner
        self.submitted: list[int] = []
        self.ended: list[int] = []
        self.is_open = True

    def submit_some(self, name: str) -> None:
        for round_ in range(25):
            build, urgent = f"v{round_ % 3}", round_ % 11
            jobs = new(name, app_version_id=build), new(name, priority=urgent)
            self.submitted += submit(self.store, *jobs)

    def submit_and_close(self) -> None:
        in_parallel(*[partial(self.submit_some, name) for name in "abcd"])
        self.is_open = False

    def work(self, worker: str) -> None:
        is_idle = False
        while self.is_open or not is_idle:
            claimed = claim(self.store, 3, worker)
            is_idle = not claimed
            for one in claimed:
                finish(self.store, one)
                self.ended.append(one.seq)

    def keep_house(self) -> None:
        while self.is_open:
            self.store.write(tallies.fold)
            self.pruner()


def test_nothing_is_lost_between_submitters_and_pruner(
    store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    turnover = Turnover(store, Pruner(store, tmp_path, -DAY))
    workers = [partial(turnover.work, worker) for worker in ("w1", "w2")]
    in_parallel(turnover.submit_and_close, turnover.keep_house, *workers)
    turnover.work("w3")
    assert sorted(turnover.ended) == sorted(turnover.submitted)
    with store.read() as tx:
        (total,) = tallies.by_user(tx)
    assert total.submitted == total.passed == len(turnover.submitted)
    while store.write(tallies.fold):
        pass
    prune_all(turnover.pruner)
    assert left(store) == ([], [])
