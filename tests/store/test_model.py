"""Whatever is done to a yard, in whatever order: its rows stay what its history says.

``tests.store.checker`` is asked after every step. Hypothesis chooses what is done and finds the
shortest way to a failure; the dice of each step choose with what.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from runyard.clock import ManualClock
from runyard.domain.job import WAITING, State
from runyard.domain.lifecycle import Cause, Outcome
from runyard.errors import Conflict
from runyard.policy.choose import class_of
from runyard.store import control, leases, tallies
from runyard.store.claim import Claim
from runyard.store.database import Store, Tx
from runyard.store.finish import Ended
from runyard.store.finish import finish as finish_all
from runyard.store.moves import Move
from runyard.store.schedule import promote
from runyard.store.schema import dependencies, groups, jobs, metadata, queues
from runyard.store.submit import NewJob
from tests.store.checker import BAD, check
from tests.store.support import FAIL, LEASE, PASS, claim, new, submit

Dice = random.Random

# The more often an action stands here, the more often it is chosen.
ACTIONS = [
    *["submit"] * 2,
    *["claim"] * 6,
    *["finish_running"] * 5,
    *["finish_late", "expire_workers", "promote", "wait", "retry", "cancel"] * 2,
    *["finish_any", "renew", "expire", "adopt", "fold", "complete"],
]
OUTCOMES = [
    *[PASS] * 8,
    *[FAIL] * 2,
    *map(Outcome, Cause),
    *(Outcome(cause, was_begun=False) for cause in (Cause.RELEASED, Cause.CANCELLED, Cause.FENCED)),
]
POOLS = ["", "run-1"]
TARGETS = ["local", "device"]
WORKERS = ["w1", "w2", "w3"]


class Yard(RuleBasedStateMachine):
    """A store, some workers, and people who change their minds."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        super().__init__()
        self.store, self.clock = store, clock
        self.seqs: list[int] = []
        self.ids: dict[int, str] = {}
        self.not_before: dict[int, float] = {}
        self.claims: list[Claim] = []
        self.batches = 0

    @initialize()
    def empty_the_tables(self) -> None:
        def work(tx: Tx) -> None:
            for table in reversed(metadata.sorted_tables):
                tx.conn.execute(delete(table))

        self.store.write(work)

    # One rule and not one for each action: Hypothesis switches rules off for whole runs, and a
    # yard in which nobody submits, or claims, shows nothing.
    @rule(action=st.sampled_from(ACTIONS), seed=st.integers(0, 1 << 32))
    def act(self, action: str, seed: int) -> None:
        getattr(self, action)(Dice(seed))

    def submit(self, dice: Dice) -> None:
        made: list[NewJob] = []
        while not made or (len(made) < 4 and dice.random() < 0.6):
            made.append(self.job(dice, len(made)))
        self.batches += 1
        batch = dice.choice([None, f"b-{self.batches}"])
        seqs = submit(self.store, *made, batch=batch, pool=dice.choice(["", *POOLS]))
        note(f"{batch}: {dict(zip(seqs, made, strict=True))}")
        self.seqs += seqs
        for seq, job in zip(seqs, made, strict=True):
            self.ids[seq], self.not_before[seq] = job.id, job.run_after or 0.0

    def job(self, dice: Dice, position: int) -> NewJob:
        earlier = dice.sample(range(position), dice.choice([0, 0, position // 2, position]))
        existing = some(dice, self.seqs) if dice.random() < 0.2 else []
        return new(
            org_id=dice.choice("ab"),
            target=dice.choice(TARGETS),
            priority=dice.choice([2, 5, 8]),
            app_version_id=dice.choice([None, None, None, "v1", "v2"]),
            submitted_by=dice.choice(["", "", "ann"]),
            bottom_level=dice.choice([1.0, 2.0]),
            expected=dice.choice([None, 5.0, 70.0]),
            max_attempts=dice.choice([1, 1, 2]),
            retry_on=dice.choice([None, [1]]),
            run_after=self.clock.now() + dice.choice([*[0.0] * 8, LEASE, 100.0]),
            needs=earlier,
            needs_ids=[self.ids[seq] for seq in existing],
        )

    # Workers

    def claim(self, dice: Dice) -> None:
        slots, pools = dice.randint(1, 4), frozenset(dice.choice([POOLS, POOLS, POOLS[:1]]))
        targets = dice.choice([None, None, None, frozenset(TARGETS[:1])])
        fitting = [
            row
            for row in self.rows(State.QUEUED)
            if row.pool in pools and (targets is None or row.target in targets)
        ]
        claimed = claim(self.store, slots, dice.choice(WORKERS), pools=pools, targets=targets)
        taken = {one.seq for one in claimed}
        fences = {row.seq: row.fence + 1 for row in fitting}
        assert {one.seq: one.fence for one in claimed}.items() <= fences.items()
        left = [row for row in fitting if row.seq not in taken]
        if any(row.app_version_id for row in fitting):
            assert bool(claimed) == bool(fitting)  # what is worth no install may wait
        else:
            assert len(claimed) == min(slots, len(fitting))
            if len(claimed) == 1:
                top = max(row.priority for row in fitting)
                now = self.clock.now()
                classes = {row.seq: min(class_of(row.rank, now), top) for row in fitting}
                assert classes[claimed[0].seq] == max(classes.values())
        # Whoever joins a group may leave its first jobs to others.
        installed = {one.seq for one in claimed if one.installs}
        joined = {row.queue_id for row in fitting if row.seq in installed}
        for queue in {row.queue_id for row in left} - joined:
            last = [_order(row) for row in fitting if row.seq in taken and row.queue_id == queue]
            assert all(_order(row) > max(last, default=()) for row in left if row.queue_id == queue)
        for one in claimed:
            assert self.clock.now() >= self.not_before.get(one.seq, 0.0)
        self.claims += claimed

    def finish_running(self, dice: Dice) -> None:
        running = {(row.seq, row.fence) for row in self.rows(State.RUNNING)}
        self.finish([one for one in self.claims if (one.seq, one.fence) in running], dice)

    def finish_late(self, dice: Dice) -> None:
        """What a worker does that lost its lease to another and does not know it yet."""
        running = {row.seq: row.fence for row in self.rows(State.RUNNING)}
        self.finish([one for one in self.claims if one.fence < running.get(one.seq, 0)], dice)

    def finish_any(self, dice: Dice) -> None:
        """Of all claims there ever were: also one that is over or was reported already."""
        self.finish(self.claims, dice)

    def finish(self, some_of: list[Claim], dice: Dice) -> None:
        chosen = some(dice, some_of)
        ended = [Ended(one.seq, one.fence, dice.choice(OUTCOMES)) for one in chosen]
        note(f"{ended}")
        before = {row.seq: row for row in self.rows()}
        done = self.store.write(lambda tx: finish_all(tx, ended))
        assert {move.seq for move in done.moves if move.origin is State.RUNNING} == {
            one.seq
            for one in chosen
            if before[one.seq].state == State.RUNNING and before[one.seq].fence == one.fence
        }, "what is in order is accepted, and nothing else"
        moved = {move.seq for move in done.moves}
        for row in self.rows():
            assert row.seq in moved or row.state == before[row.seq].state

    def renew(self, dice: Dice) -> None:
        worker = dice.choice(WORKERS)
        mine = {
            (row.seq, row.fence): row.cancel_requested
            for row in self.rows(State.RUNNING)
            if row.worker == worker
        }
        answer = self.store.write(lambda tx: leases.renew(tx, worker, LEASE))
        assert answer.held == mine.keys()
        assert answer.cancel == {key for key, wanted in mine.items() if wanted}

    # The reaper, the promoter and the clock

    def expire(self, _: Dice) -> None:
        running = self.rows(State.RUNNING)
        over = {(r.worker, r.slot) for r in running if r.lease_until < self.clock.now()}
        late = [row for row in running if (row.worker, row.slot) in over]
        self.were_taken_back(late, self.store.write(leases.expire))

    def expire_workers(self, dice: Dice) -> None:
        dead = some(dice, WORKERS)
        theirs = [row for row in self.rows(State.RUNNING) if row.worker in dead]
        moves = self.store.write(lambda tx: leases.expire_workers(tx, dead))
        self.were_taken_back(theirs, moves)

    def were_taken_back(self, expected: list[Any], moves: list[Move]) -> None:
        taken = {move.seq for move in moves if move.origin is State.RUNNING}
        assert taken == {row.seq for row in expected}
        first: dict[tuple[str, str], Any] = {}
        for row in sorted(expected, key=lambda row: (row.claimed_at, _order(row))):
            first.setdefault((row.worker, row.slot), row)
        begun = {move.seq for move in moves if move.transition.attempt is not None}
        assert begun == {row.seq for row in first.values()}, "one slot runs one job at a time"

    def promote(self, _: Dice) -> None:
        due = [row for row in self.rows(State.DELAYED) if row.run_after <= self.clock.now()]
        assert self.store.write(promote) == len(due)
        assert {row.seq for row in due} <= {row.seq for row in self.rows(State.QUEUED)}

    def wait(self, dice: Dice) -> None:
        self.clock.advance(dice.choice([1.0, LEASE, LEASE + 1, 700.0]))

    # People

    def cancel(self, dice: Dice) -> None:
        running = [row.seq for row in self.rows(State.RUNNING)]
        chosen = some(dice, dice.choice([self.seqs, running]))[:2]
        self.store.write(lambda tx: control.cancel(tx, chosen))
        for row in self.rows():
            if row.seq in chosen:
                assert row.state not in WAITING
                assert row.state != State.RUNNING or row.cancel_requested

    def complete(self, dice: Dice) -> None:
        unfinished = [row.seq for row in self.rows(*WAITING, State.RUNNING)]
        chosen = some(dice, dice.choice([unfinished, unfinished, self.seqs]))[:2]
        before = self.rows()
        try:
            self.store.write(lambda tx: control.complete(tx, chosen))
        except Conflict:
            assert self.rows() == before, "what is refused changes nothing"
            assert set(chosen) - set(unfinished)
        else:
            assert all(row.state == State.PASSED for row in self.rows() if row.seq in chosen)

    def retry(self, dice: Dice) -> None:
        ended = [row.seq for row in self.rows(State.FAILED, State.CANCELLED)]
        chosen = some(dice, dice.choice([ended, ended, self.seqs]))[:2]
        note(f"{chosen}")
        before = self.rows()
        try:
            moves = self.store.write(lambda tx: control.retry(tx, chosen))
        except Conflict:
            assert self.rows() == before, "what is refused changes nothing"
            assert self.retry_is_impossible(chosen), "what is possible is not refused"
        else:
            assert set(chosen) <= {move.seq for move in moves}
            for move in moves:
                self.not_before.pop(move.seq, None)

    def retry_is_impossible(self, chosen: list[int]) -> bool:
        states = {row.seq: State(row.state) for row in self.rows()}
        query = select(dependencies.c.on_seq).where(dependencies.c.job_seq.in_(chosen))
        with self.store.read() as tx:
            needed = set(tx.conn.execute(query).scalars())
        left_as_they_are = {states[seq] for seq in needed.difference(chosen)}
        return bool({states[seq] for seq in chosen} - BAD or left_as_they_are & BAD)

    def adopt(self, _: Dice) -> None:
        left = sum(row.pool == "run-1" and row.finished_at is None for row in self.rows())
        assert self.store.write(lambda tx: control.adopt(tx, "run-1")) == left

    def fold(self, _: Dice) -> None:
        self.store.write(tallies.fold)

    # Looking

    @invariant()
    def all_is_as_the_history_says(self) -> None:
        with self.store.read() as tx:
            check(tx, self.seqs)

    def rows(self, *states: State) -> list[Any]:
        """The jobs, or those in some states."""
        query = (
            select(jobs, groups.c.pool, groups.c.target, groups.c.app_version_id)
            .join_from(jobs, queues)
            .join(groups)
        )
        with self.store.read() as tx:
            found = tx.conn.execute(query.order_by(jobs.c.seq)).all()
        return [row for row in found if not states or row.state in states]


def _order(row: Any) -> tuple[float, float, int]:
    """How the jobs of one queue start."""
    return (row.rank, -row.behind, row.seq)


def some(dice: Dice, there_are: Sequence[Any]) -> list[Any]:
    """One, some or all."""
    how_many = dice.choice([1, 1, 2, 3, len(there_are)])
    return dice.sample(there_are, min(how_many, len(there_are)))


@pytest.mark.timeout(600)  # seldom needed: to find the shortest way to a failure takes a while
def test_no_order_of_things_breaks_a_yard(store: Store, clock: ManualClock) -> None:
    run_state_machine_as_test(
        lambda: Yard(store, clock),
        settings=settings(
            max_examples=40,
            stateful_step_count=60,
            suppress_health_check=list(HealthCheck),
        ),
    )
