"""The life cycle: which moves there are, and which one follows an attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runyard.domain import lifecycle
from runyard.domain.event import EventKind
from runyard.domain.job import FINAL, WAITING, AttemptState, Reason, State
from runyard.domain.lifecycle import Cause, Outcome, RetryRule, Transition, after, backoff

NOW = 1000.0
PASSED = Outcome(Cause.EXITED, exit_code=0)
EXIT_3 = Outcome(Cause.EXITED, exit_code=3)
KILLED = Outcome(Cause.EXITED, signal=9)
TIMED_OUT = Outcome(Cause.TIMEOUT, signal=15)

UNBEGUN = [Transition.give_back(), Transition.cancel_claimed()]
TRANSITIONS = [
    Transition.unblock(None, NOW),
    Transition.unblock(NOW + 1, NOW),
    Transition.promote(),
    Transition.claim(),
    Transition.passed(),
    Transition.failed(Reason.EXIT_CODE, 1),
    Transition.retry(1, NOW + 1),
    Transition.lost(0),
    Transition.lost(lifecycle.LOSSES_ALLOWED - 1),
    Transition.setup_failed(0),
    Transition.setup_failed(lifecycle.LOSSES_ALLOWED - 1),
    Transition.release(),
    Transition.cancel(),
    Transition.cancel_running(None),
    Transition.skip(),
    Transition.complete(),
    Transition.complete_running(),
    Transition.reopen(0),
    Transition.reopen(1),
    *UNBEGUN,
]
INFRA = (EventKind.LOST, EventKind.SETUP_FAILED)
RESULTS_OF_AN_ATTEMPT = [t for t in TRANSITIONS if t.sources == {State.RUNNING}]

outcomes = st.builds(
    Outcome,
    st.sampled_from(Cause),
    st.none() | st.integers(0, 255),
    st.none() | st.integers(1, 64),
    was_begun=st.booleans(),
)
rules = st.builds(
    RetryRule,
    st.integers(1, 5),
    st.none() | st.lists(st.integers(0, 255)).map(tuple),
    st.floats(0, 86400),
)
counts = st.integers(0, 10)


def decide(
    outcome: Outcome,
    rule: RetryRule | None = None,
    *,
    failures: int = 0,
    losses: int = 0,
    cancel_requested: bool = False,
) -> Transition:
    return after(
        outcome,
        rule or RetryRule(),
        failures=failures,
        losses=losses,
        cancel_requested=cancel_requested,
        now=NOW,
        jitter=lambda: 0.0,
    )


# The moves


def test_every_state_but_passed_can_be_left() -> None:
    left = frozenset[State]().union(*(move.sources for move in TRANSITIONS))
    assert left == frozenset(State) - {State.PASSED}


def test_every_state_can_be_entered_after_submission() -> None:
    assert {move.to for move in TRANSITIONS} == set(State)


def test_every_state_is_final_waiting_or_running() -> None:
    assert FINAL | WAITING | {State.RUNNING} == set(State)
    assert not FINAL & WAITING


def test_only_a_claim_starts_a_job() -> None:
    assert [m.event for m in TRANSITIONS if m.to is State.RUNNING] == [EventKind.CLAIMED]


def test_only_reopening_leaves_a_final_state() -> None:
    assert {m.event for m in TRANSITIONS if m.sources & FINAL} == {EventKind.REOPENED}


def test_exactly_the_moves_that_leave_running_end_an_attempt() -> None:
    for move in TRANSITIONS:
        ends_one = move.sources == {State.RUNNING} and move not in UNBEGUN
        assert (move.attempt is not None) == ends_one, move
    assert AttemptState.RUNNING not in {move.attempt for move in TRANSITIONS}


def test_a_failed_job_has_a_reason_and_no_other_has() -> None:
    for move in TRANSITIONS:
        assert (move.reason is not None) == (move.to is State.FAILED), move


def test_a_delayed_job_has_a_time_and_no_other_has() -> None:
    for move in TRANSITIONS:
        assert (move.run_after is not None) == (move.to is State.DELAYED), move


def test_only_own_failures_count_as_failures_and_only_losses_as_losses() -> None:
    for move in TRANSITIONS:
        is_infra = move.reason in (Reason.LOST, Reason.SETUP) or move.event in INFRA
        assert move.failures == (move.attempt is AttemptState.FAILED and not is_infra)
        assert move.losses == is_infra


def test_each_event_but_four_belongs_to_a_move() -> None:
    told = {EventKind.CANCEL_REQUESTED, EventKind.REFUSED, EventKind.PRIORITY}
    without = {EventKind.SUBMITTED, *told}
    assert {move.event for move in TRANSITIONS} == set(EventKind) - without


# Where a job begins


@pytest.mark.parametrize(
    ("waiting_on", "run_after", "state"),
    [
        (0, None, State.QUEUED),
        (0, NOW - 1, State.QUEUED),
        (0, NOW, State.QUEUED),
        (0, NOW + 1, State.DELAYED),
        (1, None, State.BLOCKED),
        (2, NOW + 1, State.BLOCKED),
    ],
)
def test_a_job_begins_blocked_else_delayed_else_queued(
    waiting_on: int, run_after: float | None, state: State
) -> None:
    assert lifecycle.initial_state(waiting_on, run_after, NOW) is state


def test_an_unblocked_job_still_waits_for_its_time() -> None:
    move = Transition.unblock(NOW + 5, NOW)
    assert (move.to, move.run_after) == (State.DELAYED, NOW + 5)
    assert Transition.unblock(NOW, NOW).to is State.QUEUED


def test_a_reopened_job_waits_for_what_has_not_passed() -> None:
    assert Transition.reopen(2).to is State.BLOCKED
    assert Transition.reopen(0).to is State.QUEUED


# After an attempt


def test_exit_code_zero_passes() -> None:
    assert decide(PASSED) == Transition.passed()


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (EXIT_3, Reason.EXIT_CODE),
        (KILLED, Reason.SIGNAL),
        (Outcome(Cause.EXITED, exit_code=0, signal=9), Reason.SIGNAL),
        (TIMED_OUT, Reason.TIMEOUT),
        (Outcome(Cause.SILENT, signal=15), Reason.SILENT),
        (Outcome(Cause.NOT_STARTED), Reason.NOT_STARTED),
        # A command that reacts to TERM with exit code 0 has still run out of time.
        (Outcome(Cause.TIMEOUT, exit_code=0), Reason.TIMEOUT),
    ],
)
def test_a_failure_says_why(outcome: Outcome, reason: Reason) -> None:
    assert decide(outcome) == Transition.failed(reason, outcome.exit_code)


def test_a_failure_with_attempts_left_is_tried_again_later() -> None:
    move = decide(EXIT_3, RetryRule(max_attempts=2, retry_delay=10))
    assert (move.event, move.to, move.run_after) == (EventKind.RETRIED, State.DELAYED, NOW + 5)


def test_the_last_attempt_is_the_last() -> None:
    assert decide(EXIT_3, RetryRule(max_attempts=2), failures=1).to is State.FAILED


def test_retry_on_names_the_exit_codes_that_earn_another_attempt() -> None:
    rule = RetryRule(max_attempts=2, retry_on=(3, 4))
    assert decide(EXIT_3, rule).to is State.DELAYED
    assert decide(Outcome(Cause.EXITED, exit_code=5), rule).to is State.FAILED
    assert decide(TIMED_OUT, rule).to is State.FAILED
    assert decide(EXIT_3, RetryRule(max_attempts=2, retry_on=())).to is State.FAILED


@pytest.mark.parametrize("cause", [Cause.LOST, Cause.FENCED])
def test_a_job_whose_worker_vanished_is_queued_again_at_no_cost_to_its_attempts(
    cause: Cause,
) -> None:
    move = decide(Outcome(cause), RetryRule(max_attempts=1))
    assert (move.to, move.failures, move.losses) == (State.QUEUED, 0, 1)


def test_a_job_that_takes_workers_down_too_often_fails_as_lost() -> None:
    ends = [decide(Outcome(Cause.LOST), losses=n).to for n in range(lifecycle.LOSSES_ALLOWED)]
    assert ends == [State.QUEUED] * (lifecycle.LOSSES_ALLOWED - 1) + [State.FAILED]
    last = decide(Outcome(Cause.LOST), losses=lifecycle.LOSSES_ALLOWED - 1)
    assert last.reason is Reason.LOST


def test_a_released_job_is_queued_again_and_nothing_is_counted() -> None:
    move = decide(Outcome(Cause.RELEASED), failures=4, losses=2)
    assert (move.to, move.failures, move.losses) == (State.QUEUED, 0, 0)


def test_a_job_that_passed_before_the_cancellation_reached_it_has_passed() -> None:
    assert decide(PASSED, cancel_requested=True).to is State.PASSED


@pytest.mark.parametrize("cause", [c for c in Cause if c is not Cause.EXITED])
def test_a_job_to_be_cancelled_is_cancelled_however_it_ends(cause: Cause) -> None:
    rule = RetryRule(max_attempts=9)
    assert decide(Outcome(cause), rule, cancel_requested=True).to is State.CANCELLED


def test_a_job_to_be_cancelled_is_not_tried_again() -> None:
    rule = RetryRule(max_attempts=9)
    assert decide(EXIT_3, rule, cancel_requested=True).to is State.CANCELLED


@pytest.mark.parametrize("cause", [Cause.RELEASED, Cause.FENCED, Cause.LOST])
def test_what_was_never_begun_goes_back_without_a_trace(cause: Cause) -> None:
    unbegun = Outcome(cause, was_begun=False)
    assert decide(unbegun, failures=4, losses=2) == Transition.give_back()
    assert decide(unbegun, cancel_requested=True) == Transition.cancel_claimed()
    assert decide(Outcome(Cause.CANCELLED, was_begun=False)) == Transition.cancel_claimed()


@given(outcomes, rules, counts, counts, st.booleans())
def test_whatever_happened_one_of_the_known_moves_follows(
    outcome: Outcome, rule: RetryRule, failures: int, losses: int, cancel_requested: bool
) -> None:
    move = decide(
        outcome, rule, failures=failures, losses=losses, cancel_requested=cancel_requested
    )
    assert (move.event, move.to, move.attempt) in {
        (known.event, known.to, known.attempt) for known in RESULTS_OF_AN_ATTEMPT
    }
    assert move.run_after is None or move.run_after >= NOW


# Back-off


@given(
    st.just(0.0) | st.floats(0.001, 86400), st.integers(1, 1000), st.floats(0, 1, exclude_max=True)
)
def test_the_wait_is_at_least_half_of_what_the_doubling_says_and_never_over_an_hour(
    delay: float, failures: int, drawn: float
) -> None:
    full = min(delay * 2 ** min(failures - 1, 40), lifecycle.BACKOFF_CEILING)
    assert full / 2 <= backoff(delay, failures, lambda: drawn) <= full


def test_the_wait_doubles_with_each_failure() -> None:
    waits = [backoff(1.0, failures, lambda: 0.0) for failures in (1, 2, 3, 4)]
    assert waits == [0.5, 1.0, 2.0, 4.0]
