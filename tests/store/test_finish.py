"""Finish: what becomes of a job, its attempt, its batch and its dependents."""

import pytest
from sqlalchemy import select

from runyard.clock import ManualClock
from runyard.domain.event import EventKind
from runyard.domain.job import AttemptState, Reason, State
from runyard.domain.lifecycle import Cause, Outcome
from runyard.store import views
from runyard.store.claim import Claim
from runyard.store.control import cancel
from runyard.store.database import Store
from runyard.store.finish import Ended
from runyard.store.finish import finish as finish_all
from runyard.store.leases import expire_workers
from runyard.store.schedule import promote
from runyard.store.schema import events
from tests.store.support import (
    FAIL,
    PASS,
    batch,
    claim,
    finish,
    get,
    history,
    new,
    row,
    run_next,
    states,
    submit,
)


def lose(store: Store, worker: str = "w1") -> None:
    store.write(lambda tx: expire_workers(tx, [worker]))


def claim_again(store: Store) -> Claim:
    """A claim of a job whose first worker is believed to be dead."""
    lose(store)
    (claimed,) = claim(store, worker="w2")
    return claimed


def test_a_job_that_exits_with_zero_has_passed(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, "unit")
    (claimed,) = claim(store)
    clock.advance(7)
    done = finish(store, claimed, PASS)
    job = get(store, seq)
    assert (job.state, job.reason, job.exit_code) == (State.PASSED, None, 0)
    assert (job.seconds, job.finished_at) == (7.0, clock.now())
    (attempt,) = job.attempts
    assert (attempt.state, attempt.worker, attempt.slot) == (AttemptState.PASSED, "w1", "s0")
    assert (attempt.cpu_seconds, attempt.max_rss_bytes) == (0.5, 1 << 20)
    assert (attempt.started_at, attempt.finished_at) == (clock.now() - 7, clock.now())
    assert [move.seq for move in done.moves] == [seq]
    assert history(store, seq)[-1] is EventKind.PASSED


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome(Cause.EXITED, exit_code=3), Reason.EXIT_CODE),
        (Outcome(Cause.EXITED, signal=11), Reason.SIGNAL),
        (Outcome(Cause.TIMEOUT, signal=15), Reason.TIMEOUT),
        (Outcome(Cause.SILENT, signal=15), Reason.SILENT),
        (Outcome(Cause.NOT_STARTED, detail="no such command"), Reason.NOT_STARTED),
    ],
)
def test_a_job_that_fails_says_why(store: Store, outcome: Outcome, reason: Reason) -> None:
    (seq,) = submit(store, "unit")
    run_next(store, outcome)
    job = get(store, seq)
    assert (job.state, job.reason, job.exit_code) == (State.FAILED, reason, outcome.exit_code)
    (attempt,) = job.attempts
    assert (attempt.state, attempt.reason) == (AttemptState.FAILED, reason)
    assert (attempt.exit_code, attempt.signal) == (outcome.exit_code, outcome.signal)


def test_the_history_holds_what_is_known_of_the_end(store: Store) -> None:
    (seq,) = submit(store, "unit")
    run_next(store, Outcome(Cause.NOT_STARTED, detail="no such command"))
    with store.read() as tx:
        last = views.history(tx, [seq])[-1]
    assert (last.kind, last.attempt) == (EventKind.FAILED, 1)
    assert last.data == {
        "reason": "not_started",
        "attempt_reason": "not_started",
        "detail": "no such command",
    }


def test_a_failed_attempt_is_followed_by_another_after_a_pause(
    store: Store, clock: ManualClock
) -> None:
    (seq,) = submit(store, new("flaky", max_attempts=2, retry_delay=10))
    run_next(store, FAIL)
    assert states(store, seq) == [State.DELAYED]
    assert claim(store) == []
    clock.advance(10)
    store.write(promote)
    run_next(store, PASS)
    job = get(store, seq)
    assert (job.state, job.exit_code) == (State.PASSED, 0)
    assert [a.state for a in job.attempts] == [AttemptState.FAILED, AttemptState.PASSED]
    assert [a.reason for a in job.attempts] == [Reason.EXIT_CODE, None]


def test_a_job_fails_when_its_attempts_are_used_up(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, new("broken", max_attempts=3))
    for _ in range(3):
        run_next(store, FAIL)
        clock.advance(3600)
        store.write(promote)
    assert states(store, seq) == [State.FAILED]
    assert len(get(store, seq).attempts) == 3


def test_a_job_given_back_is_queued_again_and_has_all_its_attempts(store: Store) -> None:
    (seq,) = submit(store, "unit")
    run_next(store, Outcome(Cause.RELEASED))
    assert states(store, seq) == [State.QUEUED]
    assert (row(store, seq).failures, row(store, seq).losses) == (0, 0)
    run_next(store)
    assert states(store, seq) == [State.PASSED]


UNBEGUN = Outcome(Cause.RELEASED, was_begun=False)


def test_what_was_never_begun_leaves_no_attempt(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, "unit")
    (first,) = claim(store)
    clock.advance(1)
    finish(store, first, UNBEGUN)
    job = get(store, seq)
    assert (job.state, job.attempts, job.started_at) == (State.QUEUED, [], None)

    (second,) = claim(store)
    assert (second.fence, second.number) == (2, 1)
    assert [attempt.number for attempt in get(store, seq).attempts] == [1]
    finish(store, second)
    job = get(store, seq)
    assert [attempt.number for attempt in job.attempts] == [1]
    assert job.started_at == clock.now()
    with store.read() as tx:
        told = [(event.kind, event.attempt) for event in views.history(tx, [seq])]
    assert told[1:] == [
        (EventKind.CLAIMED, 1),
        (EventKind.RELEASED, 1),
        (EventKind.CLAIMED, 1),
        (EventKind.PASSED, 1),
    ]


def test_attempts_before_and_after_one_that_was_never_begun(
    store: Store, clock: ManualClock
) -> None:
    (seq,) = submit(store, new("flaky", max_attempts=2))
    begun = clock.now()
    run_next(store, FAIL)
    clock.advance(3600)
    store.write(promote)
    run_next(store, UNBEGUN)
    (claimed,) = claim(store)
    assert (claimed.fence, claimed.number) == (3, 2)
    finish(store, claimed)
    job = get(store, seq)
    assert [attempt.number for attempt in job.attempts] == [1, 2]
    assert [attempt.fence for attempt in job.attempts] == [1, 3], "log files are never shared"
    assert job.started_at == begun


def test_one_that_was_never_begun_is_cancelled_without_an_attempt(store: Store) -> None:
    (seq,) = submit(store, "unit")
    (claimed,) = claim(store)
    store.write(lambda tx: cancel(tx, [seq]))
    finish(store, claimed, UNBEGUN)
    job = get(store, seq)
    assert (job.state, job.attempts, job.started_at) == (State.CANCELLED, [], None)


def test_what_was_never_begun_may_be_given_back_twice(store: Store) -> None:
    """As a worker does that had no answer the first time."""
    (seq,) = submit(store, "unit")
    (claimed,) = claim(store)
    finish(store, claimed, UNBEGUN)
    done = finish(store, claimed, UNBEGUN)
    assert (done.moves, done.refused) == ([], [])
    assert history(store, seq)[-1] is EventKind.RELEASED


# The fence


def test_a_result_from_a_lost_lease_is_refused_and_recorded(store: Store) -> None:
    (seq,) = submit(store, "unit")
    (stale,) = claim(store)
    current = claim_again(store)
    done = finish(store, stale, FAIL)
    assert (done.refused, done.moves) == ([seq], [])
    assert states(store, seq) == [State.RUNNING]
    assert history(store, seq)[-1] is EventKind.REFUSED
    finish(store, current, PASS)
    assert states(store, seq) == [State.PASSED]


def test_a_late_result_cannot_change_a_job_that_is_over(store: Store) -> None:
    (seq,) = submit(store, "unit")
    (stale,) = claim(store)
    finish(store, claim_again(store), PASS)
    assert finish(store, stale, FAIL).refused == [seq]
    assert states(store, seq) == [State.PASSED]


def test_a_result_sent_twice_counts_once_and_is_no_refusal(store: Store) -> None:
    (seq,) = submit(store, "unit", batch="b-1")
    (claimed,) = claim(store)
    finish(store, claimed, PASS)
    before = history(store, seq)
    again = finish(store, claimed, PASS)
    assert (again.refused, again.moves) == ([], [])
    assert history(store, seq) == before
    assert batch(store, "b-1").passed == 1


def test_a_result_sent_twice_in_one_go_counts_once(store: Store) -> None:
    (seq,) = submit(store, "unit")
    (claimed,) = claim(store)
    ended = Ended(claimed.seq, claimed.fence, PASS)
    done = store.write(lambda tx: finish_all(tx, [ended, ended]))
    assert ([move.seq for move in done.moves], done.refused) == ([seq], [])


@pytest.mark.parametrize("order", [1, -1])
def test_a_late_result_does_not_hide_the_current_one_sent_with_it(store: Store, order: int) -> None:
    (seq,) = submit(store, "unit")
    (stale,) = claim(store)
    current = claim_again(store)
    both = [Ended(seq, stale.fence, FAIL), Ended(seq, current.fence, PASS)][::order]
    done = store.write(lambda tx: finish_all(tx, both))
    assert done.refused == [seq]
    assert states(store, seq) == [State.PASSED]


def test_a_refusal_spoils_nothing_for_the_others(store: Store) -> None:
    first, second = submit(store, "first", "second")
    (stale,) = claim(store)
    current = claim_again(store)
    (other,) = claim(store, worker="w3")
    ended = [Ended(c.seq, c.fence, PASS) for c in (stale, other)]
    assert store.write(lambda tx: finish_all(tx, ended)).refused == [first]
    assert states(store, first, second) == [State.RUNNING, State.PASSED]
    finish(store, current)


def test_a_result_for_a_job_nobody_knows_is_refused(store: Store) -> None:
    done = store.write(lambda tx: finish_all(tx, [Ended(4711, 1, PASS)]))
    assert done.refused == [4711]


def test_nothing_ended_changes_nothing(store: Store) -> None:
    assert store.write(lambda tx: finish_all(tx, [])).moves == []


def test_many_ends_in_one_transaction(store: Store) -> None:
    seqs = submit(store, *("unit" for _ in range(1200)), batch="b-1")
    ended = [Ended(c.seq, c.fence, PASS) for c in claim(store, 1200)]
    store.write(lambda tx: finish_all(tx, ended))
    assert batch(store, "b-1").passed == len(seqs)


# Lost workers


@pytest.mark.parametrize("cause", [Cause.LOST, Cause.FENCED])
def test_a_job_whose_end_nobody_saw_runs_again(store: Store, cause: Cause) -> None:
    (seq,) = submit(store, "unit")
    run_next(store, Outcome(cause))
    assert states(store, seq) == [State.QUEUED]
    assert get(store, seq).attempts[0].state is AttemptState.LOST


def test_a_job_that_is_lost_three_times_fails_as_lost(store: Store) -> None:
    (seq,) = submit(store, "killer")
    for _ in range(3):
        run_next(store, Outcome(Cause.LOST))
    job = get(store, seq)
    assert (job.state, job.reason) == (State.FAILED, Reason.LOST)
    assert [a.state for a in job.attempts] == [AttemptState.LOST] * 3


# Dependents


def test_a_dependent_is_unblocked_by_the_last_it_waits_for(store: Store) -> None:
    *parents, child = submit(store, "a", "b", "c", new("child", needs=[0, 1, 2]))
    claimed = claim(store, 3)
    done = store.write(
        lambda tx: finish_all(tx, [Ended(c.seq, c.fence, PASS) for c in claimed[:2]])
    )
    assert (states(store, child), row(store, child).waiting_on) == ([State.BLOCKED], 1)
    assert {move.seq for move in done.moves} == set(parents[:2])
    done = finish(store, claimed[2])
    assert {move.seq for move in done.moves} == {parents[2], child}
    assert states(store, child) == [State.QUEUED]


def test_all_that_hangs_on_a_failed_job_is_skipped_at_once(store: Store) -> None:
    seqs = submit(
        store,
        "bad",
        new("child", needs=[0]),
        new("grandchild", needs=[1]),
        new("both", needs=[0, 2, 4]),
        "apart",
        batch="b-1",
    )
    run_next(store, FAIL)
    assert states(store, *seqs) == [State.FAILED] + [State.SKIPPED] * 3 + [State.QUEUED]
    assert all(history(store, seq).count(EventKind.SKIPPED) == 1 for seq in seqs[1:4])
    counted = batch(store, "b-1")
    assert (counted.failed, counted.skipped, counted.waiting) == (1, 3, 1)


def test_dependents_wait_on_while_their_dependency_is_tried_again(store: Store) -> None:
    _, child = submit(store, new("flaky", max_attempts=2), new("child", needs=[0]))
    run_next(store, FAIL)
    assert states(store, child) == [State.BLOCKED]


def test_one_passed_and_one_failed_parent_in_one_transaction_skip_the_child(store: Store) -> None:
    *_, child = submit(store, "good", "bad", new("child", needs=[0, 1]))
    good, bad = claim(store, 2)
    ended = [Ended(good.seq, good.fence, PASS), Ended(bad.seq, bad.fence, FAIL)]
    store.write(lambda tx: finish_all(tx, ended))
    assert states(store, child) == [State.SKIPPED]


def test_a_job_with_a_thousand_dependents(store: Store) -> None:
    _, *children = submit(store, "one", *(new("many", needs=[0]) for _ in range(1100)))
    run_next(store)
    assert len(claim(store, 2000)) == len(children)


def test_a_chain_of_three_hundred_is_skipped_to_its_end(store: Store) -> None:
    chain = [new("link", needs=[n - 1]) for n in range(1, 300)]
    *_, last = submit(store, "bad", *chain)
    run_next(store, FAIL)
    assert states(store, last) == [State.SKIPPED]


# Batches


def test_a_batch_is_over_with_its_last_job(store: Store, clock: ManualClock) -> None:
    submit(store, "a", "b", batch="b-1")
    run_next(store)
    clock.advance(5)
    assert (batch(store, "b-1").state, batch(store, "b-1").finished_at) == (State.RUNNING, None)
    run_next(store, FAIL)
    clock.advance(5)
    over = batch(store, "b-1")
    assert (over.state, over.passed, over.failed, over.waiting) == (State.FAILED, 1, 1, 0)
    assert (over.seconds, over.finished_at) == (5.0, clock.now() - 5)


def test_cancelled_while_running_ends_as_cancelled_but_a_pass_stands(store: Store) -> None:
    seqs = submit(store, new("fails", max_attempts=5), "passes")
    store_claims = claim(store, 2)
    store.write(lambda tx: cancel(tx, seqs))
    finish(store, store_claims[0], Outcome(Cause.CANCELLED, signal=15))
    finish(store, store_claims[1], PASS)
    assert states(store, *seqs) == [State.CANCELLED, State.PASSED]
    assert get(store, seqs[0]).attempts[0].state is AttemptState.CANCELLED


def test_every_event_carries_the_time_of_its_transaction(store: Store, clock: ManualClock) -> None:
    submit(store, "unit")
    clock.advance(1)
    (claimed,) = claim(store)
    clock.advance(1)
    finish(store, claimed)
    with store.read() as tx:
        times = tx.conn.execute(select(events.c.at).order_by(events.c.seq)).scalars().all()
    assert times == [clock.now() - 2, clock.now() - 1, clock.now()]
