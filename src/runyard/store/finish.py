"""Finish: record how attempts ended and decide, once, what becomes of their jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, Select, bindparam, null, select, update

from runyard.domain.event import EventKind
from runyard.domain.job import AttemptState, State
from runyard.domain.lifecycle import Cause, Outcome, RetryRule, after, reason_of
from runyard.policy.estimate import or_unknown
from runyard.store import events, moves, specs
from runyard.store.database import Tx
from runyard.store.moves import Move
from runyard.store.resolve import release_dependents
from runyard.store.schema import attempts, in_state, jobs
from runyard.store.statement import Insertion, Statement, among


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that ended under ``fence``."""

    seq: int
    fence: int
    outcome: Outcome


@dataclass(slots=True)
class Finished:
    """What a finish changed: moves of the jobs themselves and of those that waited for them, and
    the sequence numbers of the jobs whose lease was over, so that nothing was written."""

    moves: list[Move] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)


Outcomes = Mapping[tuple[int, int], Outcome]  # by (seq, fence)


def finish(tx: Tx, ended: Sequence[Ended]) -> Finished:
    """Record ended attempts. One whose fence is not the job's current one is refused, and said so
    in the history: somebody else has the job, or had it."""
    if not ended:
        return Finished()
    outcomes = {(end.seq, end.fence): end.outcome for end in ended}
    seqs = sorted({seq for seq, _ in outcomes})
    rows = _RUNNING.rows(tx, seqs=tx.dialect.array(seqs))
    held = [row for row in rows if (row.seq, row.fence) in outcomes]
    late = outcomes.keys() - {(row.seq, row.fence) for row in held}
    done = Finished(refused=_refuse(tx, {key: outcomes[key] for key in sorted(late)}))
    decided = [_decide(tx, row, outcomes[row.seq, row.fence]) for row in held]
    record_attempts(tx, zip(held, decided, strict=True), outcomes)
    moves.apply_later(tx, decided)
    done.moves = decided + settle(tx, decided)
    return done


def settle(tx: Tx, made: Sequence[Move]) -> list[Move]:
    """Tell the dependents of jobs that reached their end."""
    passed = [m.seq for m in made if m.transition.to is State.PASSED]
    ended = [m.seq for m in made if m.transition.to in (State.FAILED, State.CANCELLED)]
    return release_dependents(tx, passed, ended) if passed or ended else []


def running(*conditions: Any) -> Select[Any]:
    """Running jobs with all that ends an attempt needs to know."""
    return select(
        jobs.c.seq,
        jobs.c.fence,
        jobs.c.batch_seq,
        jobs.c.queue_id,
        jobs.c.expected,
        jobs.c.failures,
        jobs.c.losses,
        jobs.c.cancel_requested,
        jobs.c.worker,
        jobs.c.slot,
        jobs.c.claimed_at,
        jobs.c.avoids,
    ).where(in_state(State.RUNNING), *conditions)


_RUNNING = Statement(running(among(jobs.c.seq, "seqs")).order_by(jobs.c.seq).with_for_update())


def record_attempts(tx: Tx, rows: Any, outcomes: Outcomes | None = None) -> None:
    """Write one ended attempt for each (running row, move); none for what was never begun."""
    ended, unbegun = [], []
    for row, move in rows:
        if move.transition.attempt is None:
            unbegun.append({"job": row.seq, "at": row.claimed_at})
        else:
            outcome = outcomes[row.seq, row.fence] if outcomes else Outcome(Cause.LOST)
            ended.append(_attempt(tx, row, move, outcome))
    tx.later(_ATTEMPT, ended)
    tx.later(_NEVER_STARTED, unbegun)


_ATTEMPT = Insertion(attempts, attempts.columns.keys())
# Its claim set the time, unless there was an attempt before, maybe in the same instant.
_BEGUN_THEN = select(attempts.c.fence).where(
    attempts.c.job_seq == bindparam("job"), attempts.c.started_at >= bindparam("at")
)
_NEVER_STARTED = Statement(
    update(jobs)
    .where(
        jobs.c.seq == bindparam("job"),
        jobs.c.started_at == bindparam("at"),
        ~_BEGUN_THEN.exists(),
    )
    .values(started_at=null())
)


def _decide(tx: Tx, row: Row[Any], outcome: Outcome) -> Move:
    """The rule for retries is read only when it matters: most jobs pass."""
    rule = RetryRule()
    if reason_of(outcome):
        spec = specs.asked(tx, row.seq)
        retry_on = tuple(spec.retry_on) if spec.retry_on is not None else None
        rule = RetryRule(spec.max_attempts, retry_on, spec.retry_delay)
    transition = after(
        outcome,
        rule,
        failures=row.failures,
        losses=row.losses,
        cancel_requested=row.cancel_requested,
        now=tx.now,
    )
    took = tx.now - row.claimed_at - outcome.waited_seconds if outcome.was_begun else 0.0
    data = {
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "detail": outcome.detail,
        "attempt_reason": reason_of(outcome),
    }
    return Move.of(
        row,
        transition,
        State.RUNNING,
        fence=row.fence,
        data=data,
        used=unexpected(row, took),
        avoids=failed_on(row) if transition.losses else None,
    )


def failed_on(row: Any) -> str:
    """The slots that a job shall avoid, after the one on which it was just now."""
    here = f"{row.worker}/{row.slot}"
    return f"{row.avoids}\n{here}" if row.avoids else here


def unexpected(row: Any, took: float) -> float:
    """Slot seconds that an attempt took beyond those charged when it was claimed."""
    return took - or_unknown(row.expected)


def _attempt(tx: Tx, row: Row[Any], move: Move, outcome: Outcome) -> dict[str, Any]:
    state = move.transition.attempt
    assert state is not None
    reason = reason_of(outcome) if state is AttemptState.FAILED else move.transition.reason
    return {
        "job_seq": row.seq,
        "fence": row.fence,
        "state": state.value,
        "reason": reason.value if reason else None,
        "exit_code": outcome.exit_code,
        "signal": outcome.signal,
        "worker": row.worker,
        "slot": row.slot,
        "started_at": min(row.claimed_at + outcome.waited_seconds, tx.now),
        "finished_at": tx.now,
        "setup_seconds": outcome.setup_seconds,
        "cpu_seconds": outcome.cpu_seconds,
        "max_rss_bytes": outcome.max_rss_bytes,
    }


_KNOWN = select(attempts.c.state).where(
    attempts.c.job_seq == bindparam("job"), attempts.c.fence == bindparam("fence")
)


def _refuse(tx: Tx, late: Outcomes) -> list[int]:
    """Record a refusal for each result that comes too late.

    A result that was already recorded is not refused but ignored: its worker sends it again when
    the answer to its first commit got lost. Nor is what was never begun: that is no result.
    """
    refused = []
    for seq, fence in late:
        known = tx.conn.execute(_KNOWN, {"job": seq, "fence": fence}).scalar()
        if known in (None, AttemptState.LOST.value) and late[seq, fence].was_begun:
            refused.append((seq, fence))
    events.append(
        tx,
        (
            events.record(tx.now, EventKind.REFUSED, seq, fence, {"cause": late[seq, fence].cause})
            for seq, fence in refused
        ),
    )
    return [seq for seq, _ in refused]
