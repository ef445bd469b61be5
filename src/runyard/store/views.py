"""Read jobs, batches and events as people see them."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, Select, Table, bindparam, func, select, tuple_

from runyard.domain import ids
from runyard.domain.event import Event, EventKind
from runyard.domain.ids import is_batch_id, no_such, several
from runyard.domain.job import FINAL, Attempt, AttemptState, Job, Kind, State, title_of
from runyard.errors import NotFound
from runyard.store import specs
from runyard.store.database import Tx
from runyard.store.resolve import chunks
from runyard.store.schema import (
    attempts,
    batches,
    dependencies,
    events,
    groups,
    in_state,
    job_specs,
    jobs,
    queues,
)
from runyard.store.statement import Statement, among
from runyard.store.submit import NewJob


def seq_of(tx: Tx, prefix: str, org: str | None = None) -> int:
    """The job whose id is, or alone begins with, ``prefix``; if ``org`` is given, of that org."""
    return _find(tx, _JOB_IDS if org is None else _JOB_IDS_OF, "job", prefix, org)


def batch_seq_of(tx: Tx, prefix: str, org: str | None = None) -> int:
    """The batch whose id is, or alone begins with, ``prefix``; if ``org`` is given, of that org."""
    return _find(tx, _BATCH_IDS if org is None else _BATCH_IDS_OF, "batch", prefix, org)


def _beginning(table: Table) -> Select[Any]:
    """Rows whose id begins so. "~" sorts after every character of an id, so this is a range of
    the unique index."""
    return (
        select(table.c.seq, table.c.id)
        .where(table.c.id >= bindparam("first"), table.c.id < bindparam("last"))
        .order_by(table.c.id)
        .limit(4)
    )


_JOB_IDS = Statement(_beginning(jobs))
_JOB_IDS_OF = Statement(
    _beginning(jobs)
    .join(queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .where(groups.c.org_id == bindparam("org"))
)
_BATCH_IDS = Statement(_beginning(batches))
_BATCH_IDS_OF = Statement(_beginning(batches).where(batches.c.org_id == bindparam("org")))


def seqs_of(tx: Tx, prefixes: Iterable[str], org: str | None = None) -> list[int]:
    """The jobs meant by ids or prefixes of jobs and batches; a batch means all its members."""
    found: list[int] = []
    for prefix in prefixes:
        if is_batch_id(prefix):
            found += members_of(tx, batch_seq_of(tx, prefix, org))
        else:
            found.append(seq_of(tx, prefix, org))
    return list(dict.fromkeys(found))


def members_of(tx: Tx, batch_seq: int) -> Sequence[int]:
    """The jobs of a batch, in order of submission."""
    query = select(jobs.c.seq).where(jobs.c.batch_seq == batch_seq).order_by(jobs.c.seq)
    return tx.conn.execute(query).scalars().all()


def _find(tx: Tx, query: Statement, word: str, prefix: str, org: str | None) -> int:
    wanted = {"first": prefix, "last": prefix + "~", **({} if org is None else {"org": org})}
    rows = query.rows(tx, **wanted) if prefix and "\0" not in prefix else []
    if not rows:
        raise no_such(word, prefix)
    if len(rows) > 1 and rows[0].id != prefix:
        raise several(word, prefix, [row.id for row in rows])
    return int(rows[0].seq)


def owners(tx: Tx, seqs: Sequence[int]) -> set[str]:
    """Who submitted these jobs."""
    found: set[str] = set()
    for part in chunks(seqs):
        query = select(queues.c.submitted_by).join(jobs, jobs.c.queue_id == queues.c.id)
        found.update(tx.conn.execute(query.where(jobs.c.seq.in_(part)).distinct()).scalars())
    return found


JOBS = (
    select(
        jobs.c.seq,
        jobs.c.id,
        jobs.c.state,
        jobs.c.reason,
        jobs.c.exit_code,
        jobs.c.priority,
        jobs.c.fence,
        jobs.c.worker,
        jobs.c.slot,
        jobs.c.claimed_at,
        jobs.c.submitted_at,
        jobs.c.started_at,
        jobs.c.finished_at,
        groups.c.org_id,
        groups.c.target,
        groups.c.app_version_id,
        queues.c.submitted_by,
        batches.c.id.label("batch_id"),
        job_specs.c.spec,
        select(func.count(dependencies.c.on_seq))
        .where(dependencies.c.job_seq == jobs.c.seq)
        .scalar_subquery()
        .label("parents"),
    )
    .join_from(jobs, queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .join(job_specs, job_specs.c.job_seq == jobs.c.seq)
    .outerjoin(batches, batches.c.seq == jobs.c.batch_seq)
)


_BY_ID = Statement(JOBS.where(jobs.c.id == bindparam("id")))


def named(tx: Tx, prefix: str, org: str | None = None) -> Job:
    """The job whose id is, or alone begins with, ``prefix``; if ``org`` is given, of that org."""
    # Most ids are whole: then one query does for both looking up and reading.
    rows = _BY_ID.rows(tx, id=prefix) if len(prefix) == ids.LENGTH and "\0" not in prefix else []
    if rows and org in (None, rows[0].org_id):
        return build(tx, rows)[0]
    return get(tx, seq_of(tx, prefix, org))


_BY_SEQ = Statement(JOBS.where(among(jobs.c.seq, "seqs")).order_by(jobs.c.seq))


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
        found += build(tx, _BY_SEQ.rows(tx, seqs=tx.dialect.array(part)))
    return found


def build(tx: Tx, rows: Sequence[Any]) -> list[Job]:
    """Jobs from rows of ``JOBS``, of which those without a spec were left to be read now."""
    ended = _attempts(tx, [row.seq for row in rows if row.fence])
    parents = _parents(tx, [row.seq for row in rows if row.parents])
    long = specs.texts(tx, [row.seq for row in rows if row.spec is None])
    return [
        _job(row, row.spec or long[row.seq], ended.get(row.seq, []), parents.get(row.seq, []))
        for row in rows
    ]


def _job(row: Any, spec: str, ended: list[Attempt], parents: list[str]) -> Job:
    if row.state == State.RUNNING.value:
        live = Attempt(
            number=len(ended) + 1,
            fence=row.fence,
            state=AttemptState.RUNNING,
            worker=row.worker,
            slot=row.slot,
            started_at=row.claimed_at,
        )
        ended = [*ended, live]
    return Job(
        **_told(spec),
        id=row.id,
        state=row.state,
        reason=row.reason,
        exit_code=row.exit_code,
        org_id=row.org_id,
        submitted_by=row.submitted_by,
        app_version_id=row.app_version_id or None,
        target=row.target,
        priority=row.priority,
        batch_id=row.batch_id,
        depends_on=parents,
        attempts=ended,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def as_saved(job: NewJob) -> Job:
    """A new job that depends on none and is of no batch, as it was when it was saved."""
    return Job(
        **_told(job.spec),
        id=job.id,
        state=job.state,
        org_id=job.org_id,
        submitted_by=job.submitted_by,
        app_version_id=job.app_version_id,
        target=job.target,
        priority=job.priority,
        submitted_at=job.submitted_at,
    )


def _told(spec_json: str) -> dict[str, Any]:
    """What people see of a spec. It was checked when it came in; to check fifty of them again
    would be half of a page's time."""
    spec = json.loads(spec_json)
    return {
        "name": title_of(spec.get("name", ""), spec["command"]),
        "kind": spec.get("kind", Kind.COMMAND),
        "command": spec["command"],
        "cwd": spec.get("cwd"),
        "labels": spec.get("labels", {}),
        "payload": spec.get("payload"),
    }


_ATTEMPTS = Statement(
    select(attempts)
    .where(among(attempts.c.job_seq, "seqs"))
    .order_by(attempts.c.job_seq, attempts.c.fence)
)
_PARENTS = Statement(
    select(dependencies.c.job_seq, jobs.c.id)
    .join(jobs, jobs.c.seq == dependencies.c.on_seq)
    .where(among(dependencies.c.job_seq, "seqs"))
    .order_by(dependencies.c.on_seq)
)


def _attempts(tx: Tx, seqs: Sequence[int]) -> dict[int, list[Attempt]]:
    found: dict[int, list[Attempt]] = {}
    for row in _ATTEMPTS.rows(tx, seqs=tx.dialect.array(seqs)) if seqs else ():
        fields = row._asdict()
        of_job = found.setdefault(fields.pop("job_seq"), [])
        of_job.append(Attempt(number=len(of_job) + 1, **fields))
    return found


def _parents(tx: Tx, seqs: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in _PARENTS.rows(tx, seqs=tx.dialect.array(seqs)) if seqs else ():
        found.setdefault(row.job_seq, []).append(row.id)
    return found


def unfinished(tx: Tx, seqs: Sequence[int]) -> list[int]:
    """Those of the jobs that are not final."""
    left: list[int] = []
    for part in chunks(seqs):
        query = select(jobs.c.seq).where(jobs.c.seq.in_(part), jobs.c.finished_at.is_(None))
        left += tx.conn.execute(query).scalars()
    return sorted(left)


def ids_of(tx: Tx, seqs: Sequence[int]) -> list[str]:
    """The ids of jobs."""
    query = select(jobs.c.id).where(jobs.c.seq.in_(bindparam("seqs", expanding=True)))
    return [
        one for part in chunks(seqs) for one in tx.conn.execute(query, {"seqs": part}).scalars()
    ]


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
        begun = fences(tx, part)
        found += [_event(row, begun.get(row.job_seq, [])) for row in tx.conn.execute(query)]
    return sorted(found, key=lambda event: event.seq)


def attempt_number(begun: Sequence[int], fence: int | None) -> int | None:
    """Which attempt a fence means, by the fences of those that had ended; None for none."""
    return None if fence is None else bisect_left(begun, fence) + 1


def fences(tx: Tx, seqs: Sequence[int]) -> dict[int, list[int]]:
    """Those under which the ended attempts of jobs ran, in order."""
    query = select(attempts.c.job_seq, attempts.c.fence).where(attempts.c.job_seq.in_(seqs))
    found: dict[int, list[int]] = {}
    for row in tx.conn.execute(query.order_by(attempts.c.job_seq, attempts.c.fence)):
        found.setdefault(row.job_seq, []).append(row.fence)
    return found


def _event(row: Row[Any], begun: Sequence[int]) -> Event:
    """``begun`` are the fences of the job's attempts: a claim that was given back before anything
    began counts as a try for the attempt that came after it."""
    return Event(
        seq=row.seq,
        at=row.at,
        kind=EventKind(row.kind),
        job_id=row.job_id,
        batch_id=row.batch_id,
        attempt=attempt_number(begun, row.fence),
        data=json.loads(row.data) if row.data else {},
    )


def ahead(tx: Tx, seq: int, limit: int = 1000) -> int:
    """How many queued jobs of the same pool come before a queued job; stops counting at a limit."""
    before = tuple_(jobs.c.rank, -jobs.c.behind, jobs.c.seq) < tuple_(
        _MINE.c.rank, -_MINE.c.behind, _MINE.c.seq
    )
    return _count_beside(tx, seq, limit, before)


def of_higher_class(tx: Tx, seq: int, limit: int = 1000, *, is_at_top: bool = False) -> int:
    """How many queued jobs of the same pool and target are of a higher class than a queued job;
    stops counting at a limit. One that ``is_at_top`` has only its own org's before it."""
    conditions = [groups.c.target == _MY_GROUP.c.target, jobs.c.rank < _MINE.c.rank]
    if is_at_top:
        conditions.append(groups.c.org_id == _MY_GROUP.c.org_id)
    return _count_beside(tx, seq, limit, *conditions)


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
            jobs.c.rank,
            jobs.c.run_after,
            jobs.c.cancel_requested,
        )
        .join(queues, queues.c.id == jobs.c.queue_id)
        .join(groups, groups.c.id == queues.c.group_id)
        .where(jobs.c.seq == seq)
    )
    return tx.conn.execute(query).one()
