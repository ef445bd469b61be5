"""Resolve dependencies: what the end of a job means for those that waited for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

from sqlalchemy import bindparam, select, update

from runyard.domain.job import State
from runyard.domain.lifecycle import Transition
from runyard.store import moves
from runyard.store.database import Tx
from runyard.store.moves import Move
from runyard.store.schema import dependencies, in_state, jobs
from runyard.store.statement import Statement, among

Value = TypeVar("Value")

IN_LIMIT = 500  # values in one IN list; PostgreSQL and SQLite both take thousands, plans suffer


def release_dependents(tx: Tx, passed: Sequence[int], ended: Sequence[int]) -> list[Move]:
    """Unblock what waited only for ``passed``; skip, transitively, what waited for ``ended``.

    ``passed`` and ``ended`` are sequence numbers of jobs whose rows this transaction has already
    changed: a submit that adds a dependent locks them first, so it sees either the old state, and
    we its dependency, or the new one.
    """
    made = _unblock(tx, passed) if passed else []
    wave = list(ended)
    while wave:
        skipped = _skip(tx, wave)
        made += skipped
        wave = [move.seq for move in skipped]
    return made


def chunks(values: Sequence[Value]) -> Iterator[list[Value]]:
    """``values`` in lists short enough for an IN list."""
    for start in range(0, len(values), IN_LIMIT):
        yield list(values[start : start + IN_LIMIT])


_DEPENDENTS = Statement(select(dependencies.c.job_seq).where(among(dependencies.c.on_seq, "seqs")))
# In order of seq, so that two transactions that share dependents cannot wait for each other.
_BLOCKED = Statement(
    select(
        jobs.c.seq,
        jobs.c.batch_seq,
        jobs.c.queue_id,
        jobs.c.expected,
        jobs.c.waiting_on,
        jobs.c.run_after,
    )
    .where(among(jobs.c.seq, "seqs"), in_state(State.BLOCKED))
    .order_by(jobs.c.seq)
    .with_for_update()
)
_WAIT = Statement(
    update(jobs).where(jobs.c.seq == bindparam("job")).values(waiting_on=bindparam("left"))
)


def _unblock(tx: Tx, passed: Sequence[int]) -> list[Move]:
    arrived = Counter(row.job_seq for row in _DEPENDENTS.rows(tx, seqs=tx.dialect.array(passed)))
    if not arrived:
        return []
    made: list[Move] = []
    left: list[dict[str, int]] = []
    for row in _BLOCKED.rows(tx, seqs=tx.dialect.array(arrived)):
        waiting_on = row.waiting_on - arrived[row.seq]
        if waiting_on:
            left.append({"job": row.seq, "left": waiting_on})
        else:
            transition = Transition.unblock(row.run_after, tx.now)
            made.append(Move.of(row, transition, State.BLOCKED))
    _WAIT.run(tx, left)
    moves.apply(tx, made)
    return made


def _skip(tx: Tx, ended: Sequence[int]) -> list[Move]:
    doomed = {row.job_seq for row in _DEPENDENTS.rows(tx, seqs=tx.dialect.array(ended))}
    if not doomed:
        return []
    made = [
        Move.of(row, Transition.skip(), State.BLOCKED)
        for row in _BLOCKED.rows(tx, seqs=tx.dialect.array(doomed))
    ]
    moves.apply(tx, made)
    return made
