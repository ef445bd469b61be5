"""Read jobs, batches and events as people see them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, bindparam, func, select, tuple_

from runyard.domain.batch import Batch, state_of
from runyard.domain.event import Event, EventKind
from runyard.domain.ids import is_batch_id
from runyard.domain.job import FINAL, Attempt, AttemptState, Job, JobSpec, State
from runyard.errors import NotFound
from runyard.store.database import Tx
from runyard.store.resolve import chunks
from runyard.store.schema import (
    attempts,
    batches,
    dependencies,
    events,
    groups,
    in_state,
    job_labels,
    job_specs,
    jobs,
    queues,
)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; None and empty mean any."""

    states: frozenset[State] = frozenset()
    batch_id: str | None = None
    org_id: str | None = None
    app_version_id: str | None = None
    target: str | None = None
    labels: dict[str, str | None] = field(default_factory=dict)  # None: has it, whatever its value


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list; ``next`` is the cursor of the part after it."""

    jobs: list[Job]
    next: str | None


def seq_of(tx: Tx, prefix: str) -> int:
    """The job whose id is, or alone begins with, ``prefix``."""
    return _find(tx, jobs, "job", prefix)


def batch_seq_of(tx: Tx, prefix: str) -> int:
    """The batch whose id is, or alone begins with, ``prefix``."""
    return _find(tx, batches, "batch", prefix)


def seqs_of(tx: Tx, prefixes: Iterable[str]) -> list[int]:
    """The jobs meant by ids or prefixes of jobs and batches; a batch means all its members."""
    found: list[int] = []
    for prefix in prefixes:
        if is_batch_id(prefix):
            query = select(jobs.c.seq).where(jobs.c.batch_seq == batch_seq_of(tx, prefix))
            found += tx.conn.execute(query.order_by(jobs.c.seq)).scalars()
        else:
            found.append(seq_of(tx, prefix))
    return list(dict.fromkeys(found))


def _find(tx: Tx, table: Any, word: str, prefix: str) -> int:
    # "~" sorts after every character of an id, so this is a range of the unique index.
    query = (
        select(table.c.seq, table.c.id)
        .where(table.c.id >= prefix, table.c.id < prefix + "~")
        .order_by(table.c.id)
        .limit(4)
    )
    rows = tx.conn.execute(query).all() if prefix and "\0" not in prefix else []
    if not rows:
        raise NotFound(f"there is no {word} {prefix!r}")
    if len(rows) > 1 and rows[0].id != prefix:
        some = ", ".join(row.id for row in rows[:3])
        raise NotFound(f"{prefix!r} fits several {word}s ({some}{', …' * (len(rows) > 3)})")
    return int(rows[0].seq)


_JOBS = (
    select(
        jobs,
        groups.c.org_id,
        groups.c.target,
        groups.c.app_version_id,
        batches.c.id.label("batch_id"),
        job_specs.c.spec,
    )
    .join_from(jobs, queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .join(job_specs, job_specs.c.job_seq == jobs.c.seq)
    .outerjoin(batches, batches.c.seq == jobs.c.batch_seq)
)


def get(tx: Tx, seq: int) -> Job:
    """One job, whole."""
    found = get_many(tx, [seq])
    if not found:
        raise NotFound(f"there is no job number {seq} any more")
    return found[0]


def get_many(tx: Tx, seqs: Sequence[int]) -> list[Job]:
    """Jobs in the order of their sequence numbers."""
    found: list[Job] = []
    for part in chunks(sorted(seqs)):
        rows = tx.conn.execute(_JOBS.where(jobs.c.seq.in_(part)).order_by(jobs.c.seq)).all()
        found += _build(tx, rows)
    return found


def page(tx: Tx, wanted: JobFilter, limit: int, cursor: str | None = None) -> Page:
    """The newest jobs that fit, or those after a cursor that an earlier page gave."""
    query = _JOBS
    if wanted.states:
        query = query.where(jobs.c.state.in_([state.value for state in wanted.states]))
    if wanted.batch_id is not None:
        query = query.where(jobs.c.batch_seq == batch_seq_of(tx, wanted.batch_id))
    for column in ("org_id", "app_version_id", "target"):
        if (value := getattr(wanted, column)) is not None:
            query = query.where(groups.c[column] == value)
    for label, value in wanted.labels.items():
        labelled = select(job_labels.c.job_seq).where(
            job_labels.c.job_seq == jobs.c.seq, job_labels.c.label == label
        )
        if value is not None:
            labelled = labelled.where(job_labels.c.value == value)
        query = query.where(labelled.exists())
    if cursor is not None:
        query = query.where(jobs.c.seq < _cursor_seq(cursor))
    rows = tx.conn.execute(query.order_by(jobs.c.seq.desc()).limit(limit + 1)).all()
    more = len(rows) > limit
    shown = rows[:limit]
    return Page(_build(tx, shown), str(shown[-1].seq) if more else None)


def _cursor_seq(cursor: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", cursor):
        raise NotFound(f"{cursor!r} is not a cursor that a list gave")
    return int(cursor)


def _build(tx: Tx, rows: Sequence[Row[Any]]) -> list[Job]:
    seqs = [row.seq for row in rows]
    ended = _attempts(tx, seqs)
    parents = _parents(tx, seqs)
    return [_job(row, ended.get(row.seq, []), parents.get(row.seq, [])) for row in rows]


def _job(row: Row[Any], ended: list[Attempt], parents: list[str]) -> Job:
    spec = JobSpec.model_validate_json(row.spec)
    if row.state == State.RUNNING.value:
        live = Attempt(
            number=row.fence,
            state=AttemptState.RUNNING,
            worker=row.worker,
            slot=row.slot,
            started_at=row.claimed_at,
        )
        ended = [*ended, live]
    return Job(
        id=row.id,
        name=spec.title,
        kind=spec.kind,
        command=spec.command,
        state=row.state,
        reason=row.reason,
        exit_code=row.exit_code,
        org_id=row.org_id,
        app_version_id=row.app_version_id or None,
        target=row.target,
        priority=row.priority,
        batch_id=row.batch_id,
        depends_on=parents,
        labels=spec.labels,
        payload=spec.payload,
        attempts=ended,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def _attempts(tx: Tx, seqs: Sequence[int]) -> dict[int, list[Attempt]]:
    found: dict[int, list[Attempt]] = {}
    for part in chunks(seqs):
        query = select(attempts).where(attempts.c.job_seq.in_(part))
        for row in tx.conn.execute(query.order_by(attempts.c.job_seq, attempts.c.number)):
            fields = dict(row._mapping)
            found.setdefault(fields.pop("job_seq"), []).append(Attempt(**fields))
    return found


def _parents(tx: Tx, seqs: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for part in chunks(seqs):
        query = (
            select(dependencies.c.job_seq, jobs.c.id)
            .join(jobs, jobs.c.seq == dependencies.c.on_seq)
            .where(dependencies.c.job_seq.in_(part))
            .order_by(dependencies.c.on_seq)
        )
        for row in tx.conn.execute(query):
            found.setdefault(row.job_seq, []).append(row.id)
    return found


_BATCH = select(batches).where(batches.c.seq == bindparam("seq"))
_RUNNING = (
    select(func.count())
    .select_from(jobs)
    .where(in_state(State.RUNNING), jobs.c.batch_seq == bindparam("seq"))
)


def batch(tx: Tx, seq: int) -> Batch:
    """A batch with its counters; only what runs right now is counted, the rest is kept."""
    row = tx.conn.execute(_BATCH, {"seq": seq}).one_or_none()
    if row is None:
        raise NotFound(f"there is no batch number {seq} any more")
    running = tx.conn.execute(_RUNNING, {"seq": seq}).scalar_one()
    ended = row.passed + row.failed + row.cancelled + row.skipped
    waiting = row.total - ended - running
    return Batch(
        id=row.id,
        name=row.name,
        state=state_of(row.passed, row.failed, row.cancelled, running, waiting),
        total=row.total,
        passed=row.passed,
        failed=row.failed,
        skipped=row.skipped,
        cancelled=row.cancelled,
        running=running,
        waiting=waiting,
        seconds=(row.finished_at or tx.now) - row.submitted_at,
        submitted_at=row.submitted_at,
        finished_at=row.finished_at,
    )


def unfinished(tx: Tx, seqs: Sequence[int]) -> list[int]:
    """Those of the jobs that are not final."""
    left: list[int] = []
    for part in chunks(seqs):
        query = select(jobs.c.seq).where(jobs.c.seq.in_(part), jobs.c.finished_at.is_(None))
        left += tx.conn.execute(query).scalars()
    return sorted(left)


def retriable(tx: Tx, seqs: Sequence[int]) -> list[int]:
    """Those of the jobs that ended without passing."""
    ended = [s.value for s in FINAL if s is not State.PASSED]
    found: list[int] = []
    for part in chunks(seqs):
        query = select(jobs.c.seq).where(jobs.c.seq.in_(part), jobs.c.state.in_(ended))
        found += tx.conn.execute(query).scalars()
    return found


def history(tx: Tx, seqs: Sequence[int]) -> list[Event]:
    """All events of the jobs, oldest first."""
    found: list[Event] = []
    for part in chunks(seqs):
        query = (
            select(events, jobs.c.id.label("job_id"), batches.c.id.label("batch_id"))
            .join_from(events, jobs, jobs.c.seq == events.c.job_seq)
            .outerjoin(batches, batches.c.seq == jobs.c.batch_seq)
            .where(events.c.job_seq.in_(part))
        )
        found += [_event(row) for row in tx.conn.execute(query)]
    return sorted(found, key=lambda event: event.seq)


def _event(row: Row[Any]) -> Event:
    return Event(
        seq=row.seq,
        at=row.at,
        kind=EventKind(row.kind),
        job_id=row.job_id,
        batch_id=row.batch_id,
        attempt=row.attempt,
        data=json.loads(row.data) if row.data else {},
    )


def ahead(tx: Tx, seq: int, limit: int = 1000) -> int:
    """How many queued jobs of the same pool come before a queued job; stops counting at a limit."""
    before = tuple_(jobs.c.rank, -jobs.c.bottom_level, jobs.c.seq) < tuple_(
        _MINE.c.rank, -_MINE.c.bottom_level, _MINE.c.seq
    )
    return _count_beside(tx, seq, limit, before)


def of_higher_class(tx: Tx, seq: int, limit: int = 1000) -> int:
    """How many queued jobs of the same pool and target are of a higher class than a queued job;
    stops counting at a limit."""
    target = groups.c.target == _MY_GROUP.c.target
    return _count_beside(tx, seq, limit, target, jobs.c.rank < _MINE.c.rank)


_MINE, _MY_QUEUE, _MY_GROUP = jobs.alias("mine"), queues.alias("my_queue"), groups.alias("my_group")


def _count_beside(tx: Tx, seq: int, limit: int, *conditions: Any) -> int:
    """How many queued jobs of a job's pool stand so to it."""
    counted = (
        select(jobs.c.seq)
        .select_from(jobs)
        .join(queues, queues.c.id == jobs.c.queue_id)
        .join(groups, groups.c.id == queues.c.group_id)
        .join(_MINE, _MINE.c.seq == seq)
        .join(_MY_QUEUE, _MY_QUEUE.c.id == _MINE.c.queue_id)
        .join(_MY_GROUP, _MY_GROUP.c.id == _MY_QUEUE.c.group_id)
        .where(in_state(State.QUEUED), groups.c.pool == _MY_GROUP.c.pool, *conditions)
        .limit(limit)
    )
    return int(tx.conn.execute(select(func.count()).select_from(counted.subquery())).scalar_one())


def parents_of(tx: Tx, seq: int) -> list[Job]:
    """The jobs that a job depends on."""
    query = select(dependencies.c.on_seq).where(dependencies.c.job_seq == seq)
    return get_many(tx, list(tx.conn.execute(query).scalars()))


def placement(tx: Tx, seq: int) -> Any:
    """What decides when a waiting job starts: its queue and group, its time, whether it is to be
    cancelled."""
    query = (
        select(
            groups.c.pool,
            groups.c.org_id,
            groups.c.target,
            groups.c.app_version_id,
            queues.c.group_id,
            queues.c.submitted_by,
            queues.c.limit_key,
            jobs.c.run_after,
            jobs.c.cancel_requested,
        )
        .join(queues, queues.c.id == jobs.c.queue_id)
        .join(groups, groups.c.id == queues.c.group_id)
        .where(jobs.c.seq == seq)
    )
    return tx.conn.execute(query).one()
