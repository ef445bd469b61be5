"""Batches with their counters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, false, func, or_, select

from runyard.domain.batch import Batch, state_of
from runyard.domain.job import State
from runyard.domain.listing import BatchFilter, BatchPage, number_of
from runyard.errors import NotFound
from runyard.store.database import Tx
from runyard.store.schema import batches, in_state, jobs


def batch(tx: Tx, seq: int) -> Batch:
    """A batch; only what runs right now is counted, the rest is kept."""
    row = tx.conn.execute(select(batches).where(batches.c.seq == seq)).one_or_none()
    if row is None:
        raise NotFound(f"there is no batch number {seq} any more")
    return _build(tx, [row])[0]


def page(
    tx: Tx, wanted: BatchFilter, limit: int, cursor: str | None = None, org: str | None = None
) -> BatchPage:
    """The newest batches, or those after a cursor that an earlier page gave; if ``org`` is given,
    of that org only."""
    query = select(batches).order_by(batches.c.seq.desc()).limit(limit + 1)
    for only in (org, wanted.org_id):
        if only is not None:
            query = query.where(batches.c.org_id == only)
    if wanted.submitted_by is not None:
        query = query.where(batches.c.submitted_by == wanted.submitted_by)
    if wanted.text:
        query = query.where(batches.c.name.icontains(wanted.text, autoescape=True))
    if wanted.states:
        query = query.where(or_(*map(_is, sorted(wanted.states))))
    if cursor is not None:
        query = query.where(batches.c.seq < number_of(cursor))
    rows = tx.conn.execute(query).all()
    shown = rows[:limit]
    return BatchPage(_build(tx, shown), str(shown[-1].seq) if len(rows) > limit else None)


def names(tx: Tx, ids: Collection[str], org: str | None = None) -> dict[str, str]:
    """What some batches are called, by id; if ``org`` is given, of that org only."""
    query = select(batches.c.id, batches.c.name).where(batches.c.id.in_(ids))
    if org is not None:
        query = query.where(batches.c.org_id == org)
    return {row.id: row.name for row in tx.conn.execute(query)} if ids else {}


def _is(state: State) -> ColumnElement[bool]:
    """What ``state_of`` says, as the database can tell it."""
    is_over = batches.c.finished_at.is_not(None)
    has_ended = batches.c.passed + batches.c.failed + batches.c.cancelled > 0
    runs = select(jobs.c.seq).where(jobs.c.batch_seq == batches.c.seq, in_state(State.RUNNING))
    is_begun = has_ended | runs.exists()
    has_failed, was_cancelled = batches.c.failed > 0, batches.c.cancelled > 0
    conditions = {
        State.QUEUED: ~is_over & ~is_begun,
        State.RUNNING: ~is_over & is_begun,
        State.FAILED: is_over & has_failed,
        State.CANCELLED: is_over & ~has_failed & was_cancelled,
        State.PASSED: is_over & ~has_failed & ~was_cancelled,
    }
    return conditions.get(state, false())


def _build(tx: Tx, rows: Sequence[Row[Any]]) -> list[Batch]:
    seqs = [row.seq for row in rows]
    query = (
        select(jobs.c.batch_seq, func.count().label("amount"))
        .where(in_state(State.RUNNING), jobs.c.batch_seq.in_(seqs))
        .group_by(jobs.c.batch_seq)
    )
    running = {row.batch_seq: row.amount for row in tx.conn.execute(query)} if seqs else {}
    return [_batch(row, running.get(row.seq, 0), tx.now) for row in rows]


def _batch(row: Row[Any], running: int, now: float) -> Batch:
    ended = row.passed + row.failed + row.cancelled + row.skipped
    waiting = row.total - ended - running
    return Batch(
        id=row.id,
        name=row.name,
        description=row.description,
        org_id=row.org_id,
        submitted_by=row.submitted_by,
        state=state_of(row.passed, row.failed, row.cancelled, running, waiting),
        total=row.total,
        passed=row.passed,
        failed=row.failed,
        skipped=row.skipped,
        cancelled=row.cancelled,
        running=running,
        waiting=waiting,
        seconds=(row.finished_at or now) - row.submitted_at,
        submitted_at=row.submitted_at,
        finished_at=row.finished_at,
    )
