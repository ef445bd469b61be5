"""The legal moves of a job, and the decision after an attempt.

```
submit ──► blocked ──unblock──► queued ◄──promote── delayed
             │                    │ ▲                  ▲
             │skip                │ └─ lost, release ─┐│retry (back-off)
             ▼                    └──── claim ──► running ──finish──► passed | failed
          skipped                                     └─────────────► cancelled
```

``cancel`` leaves blocked, delayed and queued at once; a running job is cancelled by its worker.
``reopen`` takes a failed, cancelled or skipped job back to the start, ``complete`` ends by hand
whatever has not ended. No other code chooses a
state: the store applies a ``Transition`` and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from runyard.domain.event import EventKind
from runyard.domain.job import WAITING, AttemptState, Reason, State

LOSSES_ALLOWED = 3  # attempts whose worker vanished before the job itself is held responsible
BACKOFF_CEILING = 3600.0


@dataclass(frozen=True, slots=True)
class Transition:
    """One move: the event it is recorded as, the states it may leave, the state it enters."""

    event: EventKind
    sources: frozenset[State]
    to: State
    reason: Reason | None = None
    exit_code: int | None = None
    run_after: float | None = None
    attempt: AttemptState | None = None  # how the attempt that this move ends is recorded
    failures: int = 0  # added to the job's count of own failures
    losses: int = 0  # added to the job's count of infrastructure failures

    @classmethod
    def unblock(cls, run_after: float | None, now: float) -> Transition:
        """The last dependency passed."""
        to, after = _start_state(run_after, now)
        return cls(EventKind.UNBLOCKED, frozenset({State.BLOCKED}), to, run_after=after)

    @classmethod
    def promote(cls) -> Transition:
        """The time a delayed job waited for has come."""
        return cls(EventKind.PROMOTED, frozenset({State.DELAYED}), State.QUEUED)

    @classmethod
    def claim(cls) -> Transition:
        """A worker takes a lease on the job."""
        return cls(EventKind.CLAIMED, frozenset({State.QUEUED}), State.RUNNING)

    @classmethod
    def passed(cls) -> Transition:
        """The command ended well."""
        return cls(
            EventKind.PASSED,
            _RUNNING,
            State.PASSED,
            exit_code=0,
            attempt=AttemptState.PASSED,
        )

    @classmethod
    def failed(cls, reason: Reason, exit_code: int | None) -> Transition:
        """The command ended badly and no attempt is left."""
        return cls(
            EventKind.FAILED,
            _RUNNING,
            State.FAILED,
            reason,
            exit_code,
            attempt=AttemptState.FAILED,
            failures=1,
        )

    @classmethod
    def retry(cls, exit_code: int | None, run_after: float) -> Transition:
        """The command ended badly; the next attempt waits for ``run_after``."""
        return cls(
            EventKind.RETRIED,
            _RUNNING,
            State.DELAYED,
            exit_code=exit_code,
            run_after=run_after,
            attempt=AttemptState.FAILED,
            failures=1,
        )

    @classmethod
    def lost(cls, losses_before: int) -> Transition:
        """The worker vanished. The job is queued again, unless it took too many down with it."""
        if losses_before + 1 >= LOSSES_ALLOWED:
            return cls(
                EventKind.FAILED,
                _RUNNING,
                State.FAILED,
                Reason.LOST,
                attempt=AttemptState.LOST,
                losses=1,
            )
        return cls(
            EventKind.LOST,
            _RUNNING,
            State.QUEUED,
            attempt=AttemptState.LOST,
            losses=1,
        )

    @classmethod
    def setup_failed(cls, losses_before: int) -> Transition:
        """The slot could not be prepared. The job is queued again, for another slot if there is
        one, unless that happened too often: then the build itself may be at fault."""
        fails = losses_before + 1 >= LOSSES_ALLOWED
        return cls(
            EventKind.FAILED if fails else EventKind.SETUP_FAILED,
            _RUNNING,
            State.FAILED if fails else State.QUEUED,
            Reason.SETUP if fails else None,
            attempt=AttemptState.FAILED,
            losses=1,
        )

    @classmethod
    def release(cls) -> Transition:
        """The worker shuts down and gives the job back; that costs the job nothing."""
        return cls(EventKind.RELEASED, _RUNNING, State.QUEUED, attempt=AttemptState.RELEASED)

    @classmethod
    def give_back(cls) -> Transition:
        """The job waited behind another and was not started: there was no attempt."""
        return cls(EventKind.RELEASED, _RUNNING, State.QUEUED)

    @classmethod
    def cancel(cls) -> Transition:
        """Somebody cancelled a job that had not started."""
        return cls(EventKind.CANCELLED, WAITING, State.CANCELLED)

    @classmethod
    def cancel_running(cls, exit_code: int | None) -> Transition:
        """The worker ended a running job because somebody cancelled it."""
        return cls(
            EventKind.CANCELLED,
            _RUNNING,
            State.CANCELLED,
            exit_code=exit_code,
            attempt=AttemptState.CANCELLED,
        )

    @classmethod
    def cancel_claimed(cls) -> Transition:
        """Somebody cancelled a job that waited behind another and was not started."""
        return cls(EventKind.CANCELLED, _RUNNING, State.CANCELLED)

    @classmethod
    def skip(cls) -> Transition:
        """A dependency failed, was cancelled or was skipped."""
        return cls(EventKind.SKIPPED, frozenset({State.BLOCKED}), State.SKIPPED)

    @classmethod
    def reopen(cls, waiting_on: int) -> Transition:
        """Somebody wants another try; ``waiting_on`` dependencies must pass first."""
        return cls(
            EventKind.REOPENED,
            frozenset({State.FAILED, State.CANCELLED, State.SKIPPED}),
            State.BLOCKED if waiting_on else State.QUEUED,
        )

    @classmethod
    def complete(cls) -> Transition:
        """Somebody declares that a waiting job has done what it was for."""
        return cls(EventKind.COMPLETED, WAITING, State.PASSED)

    @classmethod
    def complete_running(cls) -> Transition:
        """The same of a running job, whose attempt is ended."""
        return cls(EventKind.COMPLETED, _RUNNING, State.PASSED, attempt=AttemptState.CANCELLED)


_RUNNING = frozenset({State.RUNNING})


def initial_state(waiting_on: int, run_after: float | None, now: float) -> State:
    """Where a job begins: blocked, else delayed, else queued."""
    return State.BLOCKED if waiting_on else _start_state(run_after, now)[0]


def _start_state(run_after: float | None, now: float) -> tuple[State, float | None]:
    if run_after is not None and run_after > now:
        return State.DELAYED, run_after
    return State.QUEUED, None


class Cause(StrEnum):
    """Why an attempt ended, as the process that watched it saw it."""

    EXITED = "exited"  # by itself, with an exit code or by a signal
    TIMEOUT = "timeout"
    SILENT = "silent"
    NOT_STARTED = "not_started"
    SETUP = "setup"  # the slot could not be prepared
    CANCELLED = "cancelled"
    RELEASED = "released"  # the worker shuts down
    FENCED = "fenced"  # the lease could not be renewed in time: the result must not count
    LOST = "lost"  # the watching process itself vanished


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended. ``cpu_seconds`` and ``max_rss_bytes`` are None if it never started,
    ``setup_seconds`` if there was nothing to prepare; ``waited_seconds`` passed between its claim
    and its start. Not ``was_begun`` is what waited behind another until it was taken away."""

    cause: Cause
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None
    detail: str | None = None
    setup_seconds: float | None = None
    waited_seconds: float = 0.0
    was_begun: bool = True


@dataclass(frozen=True, slots=True)
class RetryRule:
    """When a failed attempt is followed by another."""

    max_attempts: int = 1
    retry_on: tuple[int, ...] | None = None
    retry_delay: float = 1.0

    def allows(self, outcome: Outcome, failures: int) -> bool:
        """Whether the attempt that just failed, the ``failures``-th, earns another."""
        if failures >= self.max_attempts:
            return False
        return self.retry_on is None or outcome.exit_code in self.retry_on


def backoff(delay: float, failures: int, jitter: Callable[[], float] = random.random) -> float:
    """Seconds before the next attempt: exponential, with "equal jitter" (half fixed, half drawn).

    Jitter keeps jobs that failed together from coming back together; the fixed half keeps a
    promise to wait at all. See M. Brooker, "Exponential Backoff and Jitter", AWS, 2015.
    """
    ceiling = min(delay * 2.0 ** min(failures - 1, 32), BACKOFF_CEILING)
    return ceiling / 2 + jitter() * ceiling / 2


_FAILURES = {
    Cause.TIMEOUT: Reason.TIMEOUT,
    Cause.SILENT: Reason.SILENT,
    Cause.NOT_STARTED: Reason.NOT_STARTED,
    Cause.SETUP: Reason.SETUP,
}


def reason_of(outcome: Outcome) -> Reason | None:
    """Why the attempt counts as failed, or None if it does not."""
    if outcome.cause is Cause.EXITED:
        if outcome.signal is not None:
            return Reason.SIGNAL
        return Reason.EXIT_CODE if outcome.exit_code else None
    return _FAILURES.get(outcome.cause)


def after(
    outcome: Outcome,
    rule: RetryRule,
    *,
    failures: int,
    losses: int,
    cancel_requested: bool,
    now: float,
    jitter: Callable[[], float] = random.random,
) -> Transition:
    """What becomes of a running job whose attempt ended with ``outcome``.

    ``failures`` and ``losses`` are its counts before this attempt. A job that passed before the
    cancellation reached it has passed; one that failed meanwhile is cancelled and not retried.
    """
    reason = reason_of(outcome)
    if not outcome.was_begun:
        is_unwanted = cancel_requested or outcome.cause is Cause.CANCELLED
        return Transition.cancel_claimed() if is_unwanted else Transition.give_back()
    if outcome.cause is Cause.EXITED and reason is None:
        return Transition.passed()
    if cancel_requested or outcome.cause is Cause.CANCELLED:
        return Transition.cancel_running(outcome.exit_code)
    if outcome.cause is Cause.RELEASED:
        return Transition.release()
    if reason is None:
        return Transition.lost(losses)
    if reason is Reason.SETUP:
        return Transition.setup_failed(losses)
    if rule.allows(outcome, failures + 1):
        wait = backoff(rule.retry_delay, failures + 1, jitter)
        return Transition.retry(outcome.exit_code, now + wait)
    return Transition.failed(reason, outcome.exit_code)
