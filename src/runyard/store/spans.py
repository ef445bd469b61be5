"""Attempts as stretches of time on slots, for timelines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select

from runyard.domain.job import AttemptState, State
from runyard.store.database import Tx
from runyard.store.schema import (
    attempts,
    dependencies,
    groups,
    in_state,
    job_specs,
    jobs,
    queues,
)


@dataclass(frozen=True, slots=True)
class Span:
    """An attempt; ``end`` is None while it runs, ``setup`` the seconds that its install took.
    Instants are POSIX seconds."""

    worker: str
    slot: str
    begin: float
    end: float | None
    state: AttemptState
    job_id: str
    job_name: str
    build: str
    setup: float | None = None


_WHAT: tuple[Any, ...] = (jobs.c.id, job_specs.c.name, groups.c.app_version_id)
_ENDED = (
    select(
        attempts.c.worker,
        attempts.c.slot,
        attempts.c.started_at,
        attempts.c.finished_at,
        attempts.c.state,
        attempts.c.setup_seconds,
        *_WHAT,
    )
    .join_from(attempts, jobs, jobs.c.seq == attempts.c.job_seq)
    .join(job_specs, job_specs.c.job_seq == jobs.c.seq)
    .join(queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
)
_RUNNING = (
    select(jobs.c.worker, jobs.c.slot, jobs.c.claimed_at, *_WHAT)
    .join_from(jobs, job_specs, job_specs.c.job_seq == jobs.c.seq)
    .join(queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .where(in_state(State.RUNNING))
)


def of_batch(tx: Tx, batch_seq: int, limit: int) -> list[Span]:
    """The attempts of a batch's members that began last, and those that run."""
    ended = _ENDED.where(jobs.c.batch_seq == batch_seq)
    ended = ended.order_by(attempts.c.started_at.desc()).limit(limit)
    return _spans(tx, ended, _RUNNING.where(jobs.c.batch_seq == batch_seq))


def cut(tx: Tx, since: float, limit: int) -> float:
    """From when on no more than about ``limit`` jobs have ended: ``since``, or later."""
    last = select(jobs.c.finished_at).where(jobs.c.finished_at >= since)
    last = last.order_by(jobs.c.finished_at.desc()).offset(limit - 1).limit(1)
    return max(since, tx.conn.execute(last).scalar() or since)


def lately(tx: Tx, since: float, limit: int, org: str | None = None) -> list[Span]:
    """Attempts of the jobs that ended last, from an instant on, and those that run; if ``org`` is
    given, of that org only."""
    last = (
        select(jobs.c.seq)
        .where(jobs.c.finished_at >= since)
        .order_by(jobs.c.finished_at.desc())
        .limit(limit)
    )
    ended = _ENDED.where(attempts.c.job_seq.in_(last), attempts.c.finished_at >= since)
    now = _RUNNING
    if org is not None:
        ended, now = ended.where(groups.c.org_id == org), now.where(groups.c.org_id == org)
    return _spans(tx, ended, now)


def _spans(tx: Tx, ended: Select[Any], now: Select[Any]) -> list[Span]:
    found = [
        Span(
            row.worker or "",
            row.slot or "",
            row.started_at,
            row.finished_at,
            AttemptState(row.state),
            row.id,
            row.name,
            row.app_version_id,
            row.setup_seconds,
        )
        for row in tx.conn.execute(ended)
    ]
    found += [
        Span(
            row.worker,
            row.slot or "",
            row.claimed_at,
            None,
            AttemptState.RUNNING,
            row.id,
            row.name,
            row.app_version_id,
        )
        for row in tx.conn.execute(now)
    ]
    return sorted(found, key=lambda span: span.begin)


@dataclass(frozen=True, slots=True)
class Node:
    """A member of a batch with the keys of the members that it waits for."""

    seq: int
    job_id: str
    name: str
    state: State
    needs: Sequence[int]


def has_graph(tx: Tx, batch_seq: int) -> bool:
    """Whether any member of a batch depends on another job."""
    return tx.conn.execute(_edges(batch_seq).limit(1)).first() is not None


def members(tx: Tx, batch_seq: int, limit: int, state: State | None = None) -> list[int]:
    """The keys of the first members of a batch, or of those in a state, in order of submission."""
    query = select(jobs.c.seq).where(jobs.c.batch_seq == batch_seq)
    if state is not None:
        query = query.where(in_state(state))
    return list(tx.conn.execute(query.order_by(jobs.c.seq).limit(limit)).scalars())


def needs(tx: Tx, batch_seq: int, among: Collection[int]) -> dict[int, list[int]]:
    """What members of a batch depend on, of ``among`` both."""
    found: dict[int, list[int]] = {}
    for child, parent in tx.conn.execute(_edges(batch_seq)):
        if child in among and parent in among:
            found.setdefault(child, []).append(parent)
    return found


def nodes(tx: Tx, seqs: Collection[int], needed: Mapping[int, Sequence[int]]) -> list[Node]:
    """Some jobs in order of submission, with those of them that they need."""
    query = (
        select(jobs.c.seq, jobs.c.id, jobs.c.state, job_specs.c.name)
        .join(job_specs, job_specs.c.job_seq == jobs.c.seq)
        .where(jobs.c.seq.in_(seqs))
        .order_by(jobs.c.seq)
    )
    return [
        Node(
            row.seq,
            row.id,
            row.name,
            State(row.state),
            [parent for parent in needed.get(row.seq, ()) if parent in seqs],
        )
        for row in tx.conn.execute(query)
    ]


def _edges(batch_seq: int) -> Select[Any]:
    return (
        select(dependencies.c.job_seq, dependencies.c.on_seq)
        .join_from(jobs, dependencies, dependencies.c.job_seq == jobs.c.seq)
        .where(jobs.c.batch_seq == batch_seq)
    )
