"""Submit: save new jobs, their dependencies and their batch, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, Table, bindparam, insert, select

from runyard.domain.event import EventKind
from runyard.domain.job import FINAL, State
from runyard.domain.lifecycle import initial_state
from runyard.errors import NotFound
from runyard.policy.choose import rank, work_behind
from runyard.policy.estimate import UNKNOWN_SECONDS, or_unknown
from runyard.policy.fits import Scope, org_key
from runyard.store import once, resolve, rules, tallies
from runyard.store.database import Tx
from runyard.store.once import IdempotencyKey
from runyard.store.resolve import chunks
from runyard.store.schema import (
    batches,
    dependencies,
    events,
    groups,
    job_labels,
    job_specs,
    jobs,
    queues,
)
from runyard.store.statement import Statement, kept
from runyard.store.tallies import Change

FEW = 20  # jobs up to which single INSERTs are quicker than a COPY, which cannot be prepared


@dataclass(slots=True)  # not frozen: a large batch is filled in piece by piece, not copied
class NewJob:
    """A validated job on its way in. ``needs`` are indices into the same submission;
    ``needs_ids`` are ids of jobs that exist; ``spec`` is the ``JobSpec`` as JSON. ``state`` and
    ``submitted_at`` are what it was saved with."""

    id: str
    name: str
    spec: str
    org_id: str
    target: str
    app_version_id: str | None
    priority: int
    run_after: float | None
    submitted_by: str = ""
    limit_key: str = ""
    limit: int | None = None  # of jobs with this key at once; the last one said holds
    history_key: str = ""  # what it has in common with earlier runs of the same
    expected: float | None = None  # seconds, by history
    bottom_level: float = UNKNOWN_SECONDS  # of it and of the longest path of dependents behind it
    needs: Sequence[int] = ()
    needs_ids: Sequence[str] = ()
    labels: dict[str, str] = field(default_factory=dict)
    state: State = State.QUEUED
    submitted_at: float = 0.0


@dataclass(frozen=True, slots=True)
class NewBatch:
    """The batch the jobs belong to."""

    id: str
    name: str
    org_id: str
    description: str = ""
    submitted_by: str = ""


def submit(
    tx: Tx,
    new: Sequence[NewJob],
    batch: NewBatch | None = None,
    *,
    pool: str = "",
    key: IdempotencyKey | None = None,
    org: str | None = None,
) -> str | None:
    """Save jobs; returns None, or the id of the job or batch that was saved earlier under ``key``.

    The existing jobs that the new ones depend on are locked, so none can finish unseen meanwhile.
    """
    if key and (earlier := once.earlier(tx, key)):
        return earlier
    parents = _parents(tx, new, org)
    batch_seq = _insert_batch(tx, batch, len(new)) if batch else None
    seqs = tx.dialect.reserve(tx.conn, jobs, len(new))
    queue_ids = _queue_ids(tx, new, pool)
    asked = {org_key(job.org_id, job.limit_key): job.limit for job in new if job.limit}
    for name, maximum in sorted(asked.items()):  # or two may wait for each other
        rules.limit(tx, Scope.ORG_KEY, name, maximum, by_hand=False)
    waiting = [_waiting_on(job, parents) for job in new]
    for job, count in zip(new, waiting, strict=True):
        job.state = initial_state(count, job.run_after, tx.now)
        job.submitted_at = tx.now
    save = _copy if len(new) > FEW else _insert_later
    rows = (
        (
            seq,
            job.id,
            queue_ids[_place(job)],
            batch_seq,
            job.state.value,
            job.priority,
            rank(tx.now, job.priority),
            work_behind(job.priority, or_unknown(job.expected), job.bottom_level),
            job.expected,
            count,
            job.run_after,
            0,
            0,
            0,
            False,
            tx.now,
        )
        for seq, job, count in zip(seqs, new, waiting, strict=True)
    )
    save(tx, jobs, rows)
    tallies.add(
        tx,
        (
            Change(queue_ids[_place(job)], 1, or_unknown(job.expected), submitted=1)
            if job.state is State.QUEUED
            else Change(queue_ids[_place(job)], submitted=1)
            for job in new
        ),
    )
    save(tx, job_specs, ((seq, job.name, job.spec) for seq, job in zip(seqs, new, strict=True)))
    save(tx, dependencies, _edges(new, seqs, parents))
    save(tx, job_labels, _labels(new, seqs))
    save(tx, events, ((tx.now, EventKind.SUBMITTED.value, seq) for seq in seqs))
    # A dependency that has already ended badly treats its new dependents as it did its old ones.
    dead = [p.seq for p in parents.values() if p.state in FINAL and p.state is not State.PASSED]
    if dead:
        tx.flush()  # they are to be found
        resolve.release_dependents(tx, passed=[], ended=dead)
    if key:
        once.remember(tx, key, batch_seq, [] if batch else seqs)
    return None


_COLUMNS = {
    jobs: (
        "seq",
        "id",
        "queue_id",
        "batch_seq",
        "state",
        "priority",
        "rank",
        "behind",
        "expected",
        "waiting_on",
        "run_after",
        "fence",
        "failures",
        "losses",
        "cancel_requested",
        "submitted_at",
    ),
    job_specs: ("job_seq", "name", "spec"),
    dependencies: ("job_seq", "on_seq"),
    job_labels: ("job_seq", "label", "value"),
    events: ("at", "kind", "job_seq"),
}
_LATER = {
    table: Statement(insert(table).inline().values({name: bindparam(name) for name in columns}))
    for table, columns in _COLUMNS.items()
}


def _copy(tx: Tx, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    tx.dialect.insert_many(tx.conn, table, _COLUMNS[table], rows)


def _insert_later(tx: Tx, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """Few rows go with the commit, which PostgreSQL answers all at once."""
    names = _COLUMNS[table]
    tx.later(_LATER[table], [dict(zip(names, row, strict=True)) for row in rows])


@dataclass(frozen=True, slots=True)
class _Parent:
    seq: int
    state: State


def _parents(tx: Tx, new: Sequence[NewJob], org: str | None) -> dict[str, _Parent]:
    """The existing jobs that new ones wait for, locked; if ``org`` is given, of that org only."""
    wanted = sorted({parent for job in new for parent in job.needs_ids})
    seqs: list[int] = []
    query = _SEQS if org is None else _SEQS.where(groups.c.org_id == org)
    for part in chunks(wanted):
        seqs += tx.conn.execute(query, {"ids": part}).scalars()
    found: dict[str, _Parent] = {}
    for some in chunks(sorted(seqs)):
        for row in tx.conn.execute(tx.dialect.lock(_STATES), {"seqs": some}):
            found[row.id] = _Parent(row.seq, State(row.state))
    for parent in wanted:
        if parent not in found:
            raise NotFound(f"there is no job {parent} to depend on")
    return found


_SEQS = (
    select(jobs.c.seq)
    .join(queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)))
)
# In order of seq, as a finish locks them, so that the two cannot wait for each other.
_STATES = (
    select(jobs.c.id, jobs.c.seq, jobs.c.state)
    .where(jobs.c.seq.in_(bindparam("seqs", expanding=True)))
    .order_by(jobs.c.seq)
)


def _waiting_on(job: NewJob, parents: dict[str, _Parent]) -> int:
    open_parents = sum(parents[p].state is not State.PASSED for p in set(job.needs_ids))
    return len(set(job.needs)) + open_parents


def _insert_batch(tx: Tx, batch: NewBatch, total: int) -> int:
    seq = tx.dialect.reserve(tx.conn, batches, 1)[0]
    tx.conn.execute(
        insert(batches),
        {
            "seq": seq,
            "id": batch.id,
            "name": batch.name,
            "description": batch.description,
            "org_id": batch.org_id,
            "submitted_by": batch.submitted_by,
            "total": total,
            "passed": 0,
            "failed": 0,
            "cancelled": 0,
            "skipped": 0,
            "submitted_at": tx.now,
            "finished_at": None if total else tx.now,
        },
    )
    return seq


# Org, target, app version, submitter, limit key, priority.
Place = tuple[str, str, str, str, str, int]


def _place(job: NewJob) -> Place:
    group = (job.org_id, job.target, job.app_version_id or "")
    return (*group, job.submitted_by, job.limit_key, job.priority)


def _queue_ids(tx: Tx, new: Sequence[NewJob], pool: str) -> dict[Place, int]:
    """The ids of the queues that the jobs wait in, made where they do not exist."""
    return {place: queue_id(tx, pool, place) for place in sorted(set(map(_place, new)))}


def queue_id(tx: Tx, pool: str, place: Place) -> int:
    """The id of one queue; made if it does not exist, with its group, by whoever comes first."""
    org_id, target, app_version_id, submitted_by, limit_key, priority = place
    group = {
        "pool": pool,
        "org_id": org_id,
        "target": target,
        "app_version_id": app_version_id,
    }
    known = _QUEUE.rows(
        tx, **group, submitted_by=submitted_by, limit_key=limit_key, priority=priority
    )
    if known:
        return int(known[0].id)
    group_id = _id_of(tx, groups, group)
    return queue_of(tx, group_id, submitted_by, limit_key, priority)


def queue_of(tx: Tx, group_id: int, submitted_by: str, limit_key: str, priority: int) -> int:
    """The id of one queue of a group that exists; made if there is none yet."""
    whose = {"group_id": group_id, "submitted_by": submitted_by}
    return _id_of(tx, queues, {**whose, "limit_key": limit_key, "priority": priority})


def _id_of(tx: Tx, table: Table, values: dict[str, Any]) -> int:
    query = _IDS[table]
    while not (found := query.rows(tx, **values)):
        # Unless somebody else does; and what they made, the pruner may have deleted since.
        tx.dialect.insert_missing(tx.conn, table, values)
    return int(found[0].id)


_GROUP = ("pool", "org_id", "target", "app_version_id")
_OF_GROUP = ("submitted_by", "limit_key", "priority")


def _by(table: Table, *columns: str) -> Select[Any]:
    """The id of the row with these values, which is not pruned before a job refers to it."""
    query = select(table.c.id).where(*(table.c[name] == bindparam(name) for name in columns))
    return kept(query, table)


_IDS = {
    groups: Statement(_by(groups, *_GROUP)),
    queues: Statement(_by(queues, "group_id", *_OF_GROUP)),
}
_QUEUE = Statement(
    _by(queues, *_OF_GROUP)
    .join(groups, groups.c.id == queues.c.group_id)
    .where(*(groups.c[name] == bindparam(name) for name in _GROUP))
)


def _edges(
    new: Sequence[NewJob], seqs: Sequence[int], parents: dict[str, _Parent]
) -> Iterator[tuple[int, int]]:
    for index, job in enumerate(new):
        if job.needs or job.needs_ids:
            on = {*(seqs[n] for n in job.needs), *(parents[p].seq for p in job.needs_ids)}
            yield from ((seqs[index], one) for one in on)


def _labels(new: Sequence[NewJob], seqs: Sequence[int]) -> Iterator[tuple[int, str, str]]:
    for seq, job in zip(seqs, new, strict=True):
        yield from ((seq, label, value) for label, value in job.labels.items())
