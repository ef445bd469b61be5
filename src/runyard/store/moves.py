"""Apply life-cycle transitions to rows: the one place that writes ``jobs.state``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import bindparam, case, null, update
from sqlalchemy.sql.elements import ColumnElement

from runyard.domain.job import FINAL, State
from runyard.domain.lifecycle import Transition
from runyard.domain.slot import AVOID_SECONDS
from runyard.policy.estimate import or_unknown
from runyard.store import events, tallies
from runyard.store.database import Tx
from runyard.store.schema import batches, jobs
from runyard.store.statement import Statement, among


@dataclass(frozen=True, slots=True)
class Move:
    """A transition of one job, whose row is locked and was seen in ``origin``."""

    seq: int
    origin: State
    transition: Transition
    batch_seq: int | None = None
    fence: int | None = None  # under which the attempt ran that it ends
    waiting_on: int = 0  # dependencies it still waits for, if it enters blocked
    data: Mapping[str, Any] | None = None  # told with its event
    queue_id: int = 0
    expected: float | None = None  # seconds it is expected to take
    used: float = 0.0  # slot seconds to be charged, beyond those charged at its claim
    avoids: str | None = None  # the slots that its next attempt shall rather not run on

    @classmethod
    def of(cls, row: Any, transition: Transition, origin: State | None = None, **more: Any) -> Self:
        """The move of a row with ``seq``, ``batch_seq``, ``queue_id``, ``expected`` and, unless
        ``origin`` says it, ``state``."""
        return cls(
            row.seq,
            origin or State(row.state),
            transition,
            row.batch_seq,
            queue_id=row.queue_id,
            expected=row.expected,
            **more,
        )

    def __post_init__(self) -> None:
        if self.origin not in self.transition.sources:
            raise AssertionError(f"{self.transition.event} may not leave {self.origin}")


def apply(tx: Tx, moves: Sequence[Move]) -> None:
    """Write the moves, their events and the counters of their batches."""
    _UPDATE.run(tx, _alike(tx, moves))
    _record(tx, moves)


def apply_later(tx: Tx, moves: Sequence[Move]) -> None:
    """The same at the end of the transaction: when nothing in it reads these jobs' states."""
    tx.later(_UPDATE, _alike(tx, moves))
    _record(tx, moves)


def _record(tx: Tx, moves: Sequence[Move]) -> None:
    events.append(
        tx,
        (
            events.record(
                tx.now,
                move.transition.event,
                move.seq,
                move.fence,
                {"reason": move.transition.reason, **(move.data or {})},
            )
            for move in moves
        ),
    )
    count(tx, moves)
    tallies.add(tx, map(_tally, moves))


def _tally(move: Move) -> tallies.Change:
    entered = (move.transition.to is State.QUEUED) - (move.origin is State.QUEUED)
    work = entered * or_unknown(move.expected)
    to, origin = move.transition.to, move.origin
    return tallies.Change(
        move.queue_id,
        entered,
        work,
        used=move.used,
        reached=to if to in FINAL else None,
        left=origin if origin in FINAL else None,
    )


# Every move but a claim ends whatever lease there was. ``started_at`` keeps its first value.
_UPDATE = Statement(
    update(jobs)
    .where(among(jobs.c.seq, "jobs"))
    .values(
        state=bindparam("to"),
        reason=bindparam("why"),
        exit_code=bindparam("code"),
        waiting_on=bindparam("waiting"),
        run_after=bindparam("after"),
        failures=jobs.c.failures + bindparam("failed"),
        losses=jobs.c.losses + bindparam("lost"),
        finished_at=bindparam("ended"),
        worker=null(),
        slot=null(),
        lease_until=null(),
        claimed_at=null(),
        cancel_requested=False,
        avoids=bindparam("avoid"),
        avoids_until=bindparam("avoid_until"),
    )
)


def _alike(tx: Tx, moves: Iterable[Move]) -> list[dict[str, Any]]:
    """The parameters of ``_UPDATE``, with those jobs together of which the same becomes."""
    seqs: dict[tuple[tuple[str, Any], ...], list[int]] = {}
    for move in moves:
        seqs.setdefault(tuple(_parameters(tx, move).items()), []).append(move.seq)
    return [{**dict(same), "jobs": tx.dialect.array(alike)} for same, alike in seqs.items()]


def _parameters(tx: Tx, move: Move) -> dict[str, Any]:
    transition = move.transition
    return {
        "to": transition.to.value,
        "why": transition.reason.value if transition.reason else None,
        "code": transition.exit_code,
        "waiting": move.waiting_on,
        "after": transition.run_after,
        "failed": transition.failures,
        "lost": transition.losses,
        "ended": tx.now if transition.to in FINAL else None,
        "avoid": move.avoids,
        "avoid_until": tx.now + AVOID_SECONDS if move.avoids else None,
    }


_COUNTERS = (State.PASSED, State.FAILED, State.CANCELLED, State.SKIPPED)


def count(tx: Tx, moves: Iterable[Move]) -> None:
    """Keep batch counters equal to a recount. Last in a transaction: a batch's row is shared by
    all its jobs, and is locked from here to the commit."""
    deltas: dict[int, Counter[State]] = {}
    for move in moves:
        if move.batch_seq is not None:
            delta = deltas.setdefault(move.batch_seq, Counter())
            delta[move.transition.to] += 1
            delta[move.origin] -= 1
    changed = [
        {"batch": batch, "at": tx.now, **{f"d_{s.value}": delta[s] for s in _COUNTERS}}
        for batch, delta in sorted(deltas.items())
        if any(delta[s] for s in _COUNTERS)
    ]
    tx.later(_COUNT, changed)


def _counted(state: State) -> ColumnElement[int]:
    column: ColumnElement[int] = batches.c[state.value]
    return column + bindparam(f"d_{state.value}")


_ENDED = sum((_counted(s) for s in _COUNTERS[1:]), _counted(_COUNTERS[0]))

_COUNT = Statement(
    update(batches)
    .where(batches.c.seq == bindparam("batch"))
    .values(
        {
            **{s.value: _counted(s) for s in _COUNTERS},
            "finished_at": case((batches.c.total == _ENDED, bindparam("at")), else_=null()),
        }
    )
)
