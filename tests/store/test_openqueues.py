"""What a worker remembers of the open queues is what there is, whoever changed it meanwhile."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import select

from runyard.clock import ManualClock
from runyard.domain.job import State
from runyard.store import control, openqueues, tallies
from runyard.store.claim import Claim
from runyard.store.database import Store, Tx
from runyard.store.openqueues import Memory, open_queues
from runyard.store.schema import cursors, in_state, jobs
from tests.store.support import FAIL, PASS, claim, finish, new, submit


def memory() -> Memory:
    return Memory(frozenset({""}), None, {})


def check(store: Store, kept: Memory) -> None:
    with store.read() as tx:
        refresh(tx, kept)
        there = {queue.id: queue for queue in open_queues(tx)}
    assert kept.queues == there
    assert {number for of_one in kept.of_group.values() for number in of_one} == there.keys()
    for number, of_one in kept.of_group.items():
        group = kept.groups[number]
        assert {queue.id: queue.head for queue in group.queues} == {
            queue.id: queue.head for queue in of_one.values()
        }
        assert {(queue.queued, queue.work) for queue in of_one.values()} == {
            (group.jobs, group.work)
        }


def refresh(tx: Tx, kept: Memory) -> None:
    folds = tx.conn.execute(select(cursors.c.seq).filter_by(name="folds")).scalar() or 0
    kept.refresh(tx, folds, tallies.unfolded(tx))


class Changes:
    """All that changes queues, in any order, seen by two workers that look now and then."""

    def __init__(self, store: Store, dice: random.Random) -> None:
        self.store = store
        self.dice = dice
        self.running: list[Claim] = []
        self.kept = [memory(), memory()]

    def queued(self) -> list[int]:
        with self.store.read() as tx:
            return list(tx.conn.execute(select(jobs.c.seq).where(in_state(State.QUEUED))).scalars())

    def submit(self) -> None:
        fields = {
            "app_version_id": self.dice.choice([None, "v1", "v2", "v3"]),
            "submitted_by": self.dice.choice(["ann", "bob"]),
            "priority": self.dice.choice([2, 5, 8]),
            "limit_key": self.dice.choice(["", "", "db"]),
            "expected": self.dice.choice([None, 5.0]),
            "max_attempts": 2,
        }
        submit(self.store, *(new(**fields) for _ in range(self.dice.randint(1, 3))))

    def claim(self) -> None:
        self.running += claim(self.store, self.dice.randint(1, 3))

    def finish(self) -> None:
        if self.running:
            finish(self.store, self.running.pop(), self.dice.choice([PASS, FAIL]))

    def cancel(self) -> None:
        if waiting := self.queued():
            self.store.write(lambda tx: control.cancel(tx, [self.dice.choice(waiting)]))

    def move(self) -> None:
        if waiting := self.queued():
            seq, to = self.dice.choice(waiting), self.dice.choice([2, 5, 8])
            self.store.write(lambda tx: control.set_priority(tx, seq, to))

    def undo(self) -> None:
        """What a transaction saw of itself is forgotten with it."""
        waiting = self.queued()

        def fail(tx: Tx) -> None:
            control.cancel(tx, waiting)
            tx.flush()
            refresh(tx, self.dice.choice(self.kept))
            raise InterruptedError

        with pytest.raises(InterruptedError):
            self.store.write(fail)

    def fold(self) -> None:
        self.store.write(tallies.fold)


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_same_as_reading_all_of_them(store: Store, clock: ManualClock, seed: int) -> None:
    dice = random.Random(seed)
    changes = Changes(store, dice)
    acts = ("submit", "claim", "finish", "cancel", "move", "undo", "fold")
    for _ in range(60):
        getattr(changes, dice.choice(acts))()
        clock.advance(0.5)
        if dice.random() < 0.5:
            check(store, dice.choice(changes.kept))
    for one in changes.kept:
        check(store, one)


def test_only_what_changed_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(store, *(new(app_version_id=f"v{n}") for n in range(20)))
    store.write(tallies.fold)
    kept = memory()
    check(store, kept)
    asked: list[set[int]] = []
    some = openqueues.some

    def note(tx: Tx, ids: set[int]) -> list[openqueues.OpenQueue]:
        asked.append(set(ids))
        return some(tx, ids)

    (taken,) = claim(store)
    monkeypatch.setattr(openqueues, "some", note)
    with store.read() as tx:
        refresh(tx, kept)
    assert len(asked) == 1
    assert len(asked[0]) == 1
    assert taken.group_id not in kept.groups


def test_a_worker_that_serves_less_remembers_less(store: Store) -> None:
    submit(store, new(target="device"), new(target="emulator"))
    kept = Memory(frozenset({""}), frozenset({"device"}), {"device": 1})
    with store.read() as tx:
        refresh(tx, kept)
    assert [queue.target for queue in kept.queues.values()] == ["device"]
    assert [group.max_holders for group in kept.groups.values()] == [1]
