"""Is what the database holds possible? Checked against the events, which nothing rewrites."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import select

from runyard.domain.event import EventKind
from runyard.domain.job import FINAL, State
from runyard.store.database import Tx
from runyard.store.schema import (
    attempts,
    batches,
    dependencies,
    events,
    groups,
    jobs,
    queues,
    tallies,
)
from runyard.store.tallies import by_user

S, E = State, EventKind
WAITING = {S.BLOCKED, S.DELAYED, S.QUEUED}
BAD = FINAL - {S.PASSED}

# Written out once more, and not taken from the life cycle: each event, the states in which it may
# happen, and those in which it may leave the job.
MOVES: dict[EventKind, tuple[Collection[State], Collection[State]]] = {
    E.UNBLOCKED: ({S.BLOCKED}, {S.DELAYED, S.QUEUED}),
    E.PROMOTED: ({S.DELAYED}, {S.QUEUED}),
    E.CLAIMED: ({S.QUEUED}, {S.RUNNING}),
    E.PASSED: ({S.RUNNING}, {S.PASSED}),
    E.FAILED: ({S.RUNNING}, {S.FAILED}),
    E.RETRIED: ({S.RUNNING}, {S.DELAYED}),
    E.LOST: ({S.RUNNING}, {S.QUEUED}),
    E.SETUP_FAILED: ({S.RUNNING}, {S.QUEUED}),
    E.RELEASED: ({S.RUNNING}, {S.QUEUED}),
    E.CANCEL_REQUESTED: ({S.RUNNING}, {S.RUNNING}),
    E.CANCELLED: (WAITING | {S.RUNNING}, {S.CANCELLED}),
    E.SKIPPED: ({S.BLOCKED}, {S.SKIPPED}),
    E.REOPENED: (BAD, {S.BLOCKED, S.QUEUED}),
    E.COMPLETED: (WAITING | {S.RUNNING}, {S.PASSED}),
}
ENDS_AN_ATTEMPT = {
    E.PASSED: {"passed"},
    E.FAILED: {"failed", "lost"},
    E.RETRIED: {"failed"},
    E.LOST: {"lost"},
    E.SETUP_FAILED: {"failed"},
    E.RELEASED: {"released"},
    E.CANCELLED: {"cancelled"},
    E.COMPLETED: {"cancelled"},
}


class Seen:
    """All there is, read in one transaction."""

    def __init__(self, tx: Tx) -> None:
        self.jobs = {row.seq: row for row in tx.conn.execute(select(jobs))}
        self.batches = tx.conn.execute(select(batches)).all()
        self.parents: dict[int, list[int]] = defaultdict(list)
        for row in tx.conn.execute(select(dependencies)):
            self.parents[row.job_seq].append(row.on_seq)
        self.attempts: dict[int, dict[int, str]] = defaultdict(dict)
        for row in tx.conn.execute(select(attempts)):
            self.attempts[row.job_seq][row.fence] = row.state
        self.events: dict[int, list[Any]] = defaultdict(list)
        for row in tx.conn.execute(select(events).order_by(events.c.seq)):
            self.events[row.job_seq].append(row)


def check(tx: Tx, submitted: Iterable[int]) -> None:
    """Fail unless every submitted job, and every batch, is as its history says."""
    seen = Seen(tx)
    assert set(seen.jobs) == set(submitted), "no job is lost and none appears from nowhere"
    for seq in seen.jobs:
        _check_history(seen, seq)
        _check_dependencies(seen, seq)
    for batch in seen.batches:
        _check_batch(seen, batch)
    _check_groups(tx)
    _check_totals(tx)


def _check_groups(tx: Tx) -> None:
    """What is kept about groups, with what is not folded in yet, equals a recount."""
    kept = {row.id: [row.queued, row.work] for row in tx.conn.execute(select(groups))}
    group_of = {row.id: row.group_id for row in tx.conn.execute(select(queues))}
    for row in tx.conn.execute(select(tallies)):
        kept[group_of[row.queue_id]][0] += row.queued
        kept[group_of[row.queue_id]][1] += row.work
    counted = {group: [0, 0.0] for group in kept}
    for row in tx.conn.execute(select(jobs).where(jobs.c.state == S.QUEUED.value)):
        counted[group_of[row.queue_id]][0] += 1
        counted[group_of[row.queue_id]][1] += 30.0 if row.expected is None else row.expected
    assert kept == counted


def _check_totals(tx: Tx) -> None:
    """What is kept about users, with what is not folded in yet, equals a recount."""
    query = select(jobs.c.state, queues.c.submitted_by, groups.c.org_id).join_from(jobs, queues)
    counted: dict[tuple[str, str], Counter[str]] = {}
    for row in tx.conn.execute(query.join(groups)):
        count = counted.setdefault((row.org_id, row.submitted_by), Counter())
        count["submitted"] += 1
        count["waiting" if row.state in WAITING else row.state] += 1
    kept = {
        (total.org_id, total.submitted_by): Counter(
            {
                "submitted": total.submitted,
                "waiting": total.waiting,
                "running": total.running,
                **{state.value: getattr(total, state.value) for state in FINAL},
            }
        )
        for total in by_user(tx)
    }
    assert {whose: +count for whose, count in kept.items()} == counted


def _check_history(seen: Seen, seq: int) -> None:
    job, told = seen.jobs[seq], seen.events[seq]
    kinds = [event.kind for event in told]
    assert kinds[0] == E.SUBMITTED, kinds
    assert kinds.count(E.SUBMITTED) == 1, kinds
    possible: Collection[State] = WAITING
    fence = failures = losses = given_back = 0
    is_to_be_cancelled = was_begun = False
    ended: dict[int, str] = {}
    for event in told[1:]:
        kind = EventKind(event.kind)
        if kind is E.REFUSED:
            assert event.fence <= fence, "nobody runs what was never claimed"
            continue
        sources, targets = MOVES[kind]
        was_running = set(possible) == {S.RUNNING}
        assert set(sources) & set(possible), f"{kind} may not leave {possible}: {kinds}"
        possible = targets
        if is_to_be_cancelled:
            assert kind in (E.CANCELLED, E.PASSED, E.COMPLETED), (
                "who is to be cancelled does not come back"
            )
        is_to_be_cancelled = kind is E.CANCEL_REQUESTED
        if kind is E.CLAIMED:
            fence += 1
            assert event.fence == fence, "each claim raises the fence by one"
        elif kind is E.REOPENED:
            failures = losses = 0
            was_begun = False
        elif was_running and kind in ENDS_AN_ATTEMPT:
            assert event.fence == fence, "only the current attempt ends"
            assert fence not in ended, "an attempt ends once"
            if fence not in seen.attempts[seq]:
                assert kind in (E.RELEASED, E.CANCELLED), f"{kind} tells of an attempt"
                given_back += 1
                continue
            was_begun = True
            ended[fence] = recorded = seen.attempts[seq].get(fence, "missing")
            assert recorded in ENDS_AN_ATTEMPT[kind], (kind, recorded)
            is_setup = '"attempt_reason": "setup"' in (event.data or "")
            failures += recorded == "failed" and not is_setup
            losses += recorded == "lost" or (recorded == "failed" and is_setup)
    assert job.state in possible, f"{job.state} does not follow from {kinds}"
    assert job.fence == fence
    assert job.cancel_requested == is_to_be_cancelled
    assert (job.failures, job.losses) == (failures, losses), kinds
    assert seen.attempts[seq] == ended, "the attempts are those that ended"
    alive = fence - given_back - len(ended)
    assert alive == (job.state == S.RUNNING), "one attempt lives while the job runs, else none"
    assert (job.started_at is not None) == (was_begun or bool(alive)), "what began has a start"


def _check_dependencies(seen: Seen, seq: int) -> None:
    job = seen.jobs[seq]
    needed = [State(seen.jobs[parent].state) for parent in seen.parents[seq]]
    not_passed = [state for state in needed if state is not S.PASSED]
    bad = [state for state in needed if state in BAD]
    if job.state == S.BLOCKED:
        assert job.waiting_on == len(not_passed) > 0, (job.waiting_on, needed)
        assert not bad, "a job that can never start is skipped at once"
    elif job.state == S.SKIPPED:
        assert bad, "no job is skipped without a reason"
    elif was_completed(seen, seq):
        assert job.state == S.PASSED, "whatever it waited for"
    elif job.state in (S.DELAYED, S.QUEUED, S.RUNNING, S.PASSED, S.FAILED):
        assert not not_passed, f"{job.state} before {needed}"


def was_completed(seen: Seen, seq: int) -> bool:
    """Whether somebody declared it passed."""
    return any(event.kind == E.COMPLETED for event in seen.events[seq])


def _check_batch(seen: Seen, batch: Any) -> None:
    members = Counter(job.state for job in seen.jobs.values() if job.batch_seq == batch.seq)
    assert members.total() == batch.total
    counters = {state.value: getattr(batch, state.value) for state in FINAL}
    assert counters == {state.value: members[state.value] for state in FINAL}
    is_over = sum(counters.values()) == batch.total
    assert (batch.finished_at is not None) == is_over
