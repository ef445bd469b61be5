"""Durations: what passed attempts took, and what is expected of the next ones.

Learnt from the events behind the finishes, by one worker at a time, so that no finish waits for
it. A busy yard is sampled: estimates need some of the runs, not all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import and_, bindparam, func, select, update

from runyard.domain.event import EventKind
from runyard.domain.job import JobSpec
from runyard.policy.estimate import estimate, with_sample
from runyard.store.database import Look, Tx
from runyard.store.schema import (
    attempts,
    cursors,
    durations,
    events,
    groups,
    job_specs,
    jobs,
    queues,
)
from runyard.store.statement import Statement, among

Key = tuple[str, str]  # target, and what tells its jobs apart
ALL = ""  # for all jobs of a target together
SETUP = " setup"  # for its installs

WINDOW = 2_000  # events looked at in one transaction
FAR_BEHIND = 5 * WINDOW
_NAME = "durations"


def expected(look: Look | Tx, wanted: Iterable[Key]) -> dict[Key, float]:
    """Seconds expected of those that have a history, by the best that is known: the job's own,
    else that of its target."""
    keys: dict[str, set[str]] = {}
    for target, key in wanted:
        keys.setdefault(target, set()).add(key)
    found: dict[Key, float] = {}
    for target, of_target in keys.items():
        rows = _SOME.rows(look, target=target, keys=look.dialect.array([ALL, *of_target]))
        known = {row.key: row.seconds for row in rows}
        if ALL in known:
            found |= {(target, key): known.get(key, known[ALL]) for key in of_target}
    return found


_SOME = Statement(
    select(durations.c.key, durations.c.seconds).where(
        durations.c.target == bindparam("target"), among(durations.c.key, "keys")
    )
)


def usual(tx: Tx, key: str = ALL) -> dict[str, float]:
    """Seconds that a job, or with ``SETUP`` an install, usually takes, by target."""
    return {row.target: row.seconds for row in tx.conn.execute(_USUAL, {"key": key})}


_USUAL = select(durations.c.target, durations.c.seconds).where(durations.c.key == bindparam("key"))


def has_news(tx: Tx) -> bool:
    """Whether anything happened since the last lesson."""
    return tx.conn.execute(_NEWS, {"name": _NAME}).first() is not None


def learn(tx: Tx) -> int:
    """Take note of what attempts took that passed since the last time; returns how many."""
    tx.dialect.insert_missing(tx.conn, cursors, {"name": _NAME, "seq": 0})
    cursor = tx.conn.execute(tx.dialect.lock_free(_CURSOR), {"name": _NAME}).first()
    last = tx.conn.execute(_LAST).scalar() or 0
    if cursor is None or last <= cursor.seq:
        return 0  # somebody else is at it, or there is nothing new
    first = cursor.seq if last - cursor.seq <= FAR_BEHIND else last - WINDOW
    until = min(last, first + WINDOW)
    rows = tx.conn.execute(_PASSED, {"first": first, "until": until}).all()
    took: dict[Key, list[float]] = {}
    for row in rows:
        key = JobSpec.model_validate_json(row.spec).history_key
        seconds = max(0.0, row.finished_at - row.started_at - (row.setup_seconds or 0.0))
        for one in ((row.target, key), (row.target, ALL)):
            took.setdefault(one, []).append(seconds)
        if row.setup_seconds is not None:
            took.setdefault((row.target, SETUP), []).append(row.setup_seconds)
    _save(tx, took)
    tx.conn.execute(update(cursors).filter_by(name=_NAME).values(seq=until))
    return len(rows)


_CURSOR = select(cursors.c.seq).where(cursors.c.name == bindparam("name"))
_NEWS = (
    select(events.c.seq).where(events.c.seq > func.coalesce(_CURSOR.scalar_subquery(), 0)).limit(1)
)
_LAST = select(func.max(events.c.seq))
_PASSED = (
    select(
        attempts.c.started_at,
        attempts.c.finished_at,
        attempts.c.setup_seconds,
        groups.c.target,
        job_specs.c.spec,
    )
    .join_from(
        events,
        attempts,
        and_(attempts.c.job_seq == events.c.job_seq, attempts.c.fence == events.c.fence),
    )
    .join(jobs, jobs.c.seq == events.c.job_seq)
    .join(queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .join(job_specs, job_specs.c.job_seq == jobs.c.seq)
    .where(
        events.c.seq > bindparam("first"),
        events.c.seq <= bindparam("until"),
        events.c.kind == EventKind.PASSED.value,
    )
    .order_by(events.c.seq)
)


def _save(tx: Tx, took: Mapping[Key, list[float]]) -> None:
    for (target, key), new in sorted(took.items()):
        values: dict[str, Any] = {"target": target, "key": key}
        blank = {"samples": "[]", "seconds": 0.0, "updated_at": tx.now}
        tx.dialect.insert_missing(tx.conn, durations, {**values, **blank})
        old = tx.conn.execute(select(durations.c.samples).filter_by(**values)).scalar_one()
        samples: list[float] = json.loads(old)
        for seconds in new:
            samples = with_sample(samples, round(seconds, 3))
        changed = {"samples": json.dumps(samples), "seconds": estimate(samples)}
        query = update(durations).filter_by(**values)
        tx.conn.execute(query.values(**changed, updated_at=tx.now))
