"""Outlook: the yard with what waits and runs in it, for a forecast."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select

from runyard.domain.job import State
from runyard.domain.slot import SlotState
from runyard.policy.choose import Candidate, Group, Slot
from runyard.policy.estimate import INSTALL_SECONDS, UNKNOWN_SECONDS
from runyard.policy.forecast import Line, Outlook, Place, Waiting
from runyard.store import durations, rules, tallies
from runyard.store.database import Tx
from runyard.store.openqueues import OpenQueue, as_group, open_queues
from runyard.store.schema import IN_ORDER, groups, in_state, jobs, queues, slots, workers
from runyard.store.statement import Statement
from runyard.store.yard import usage_of, with_unfolded

MOST_JOBS = 2_000  # that are read, of all queues together
OVERDUE = 0.25  # of what it was expected to take: what a job is given that should be over by now


def read(
    tx: Tx,
    pool: str,
    alive_since: float,
    group_slots: Mapping[str, int],
    weights: Mapping[str, float],
) -> Outlook:
    """Everything that takes part in the choice for a pool's jobs; workers that were not seen since
    an instant do not."""
    found = open_queues(tx, frozenset({pool}))
    usual, unfolded = durations.usual(tx), tallies.unfolded(tx)
    return Outlook(
        tx.now,
        _places(tx, pool, alive_since, frozenset(queue.target for queue in found), usual),
        with_unfolded(_groups(found, group_slots), unfolded),
        _lines(tx, found, usual),
        rules.read(tx, lock=False),
        usage_of(tx, unfolded, weights),
    )


def _groups(found: Sequence[OpenQueue], group_slots: Mapping[str, int]) -> dict[int, Group]:
    parts: dict[int, list[OpenQueue]] = {}
    for queue in found:
        parts.setdefault(queue.group_id, []).append(queue)
    return {group: as_group(some, group_slots) for group, some in parts.items()}


def top(tx: Tx, pool: str, target: str) -> int:
    """The highest priority that waits for a target in a pool; ageing raises nothing above it."""
    found = open_queues(tx, frozenset({pool}))
    return max((queue.priority for queue in found if queue.target == target), default=0)


_WAITING = Statement(
    select(jobs.c.seq, jobs.c.rank, jobs.c.behind, jobs.c.expected)
    .where(in_state(State.QUEUED), jobs.c.queue_id == bindparam("queue"))
    .order_by(*IN_ORDER)
    .limit(bindparam("limit"))
)


def _lines(tx: Tx, found: Sequence[OpenQueue], usual: Mapping[str, float]) -> list[Line]:
    limit = max(2, MOST_JOBS // max(1, len(found)))
    return [
        Line(
            queue.id,
            queue,
            queue.submitted_by,
            [
                Waiting(
                    Candidate(row.rank, -row.behind, row.seq, seconds),
                    seconds,
                )
                for row in _WAITING.rows(tx, queue=queue.id, limit=limit)
                for seconds in (_seconds(row.expected, queue.target, usual),)
            ],
            queue.priority,
        )
        for queue in found
    ]


def _seconds(expected: float | None, target: str, usual: Mapping[str, float]) -> float:
    """What a job is expected to take as far as is known by now, if nothing was when it came."""
    return usual.get(target, UNKNOWN_SECONDS) if expected is None else expected


_SLOTS = (
    select(slots, workers.c.targets)
    .join(workers, workers.c.id == slots.c.worker)
    .where(workers.c.pool == bindparam("pool"), workers.c.seen_at >= bindparam("since"))
    .order_by(slots.c.worker, slots.c.name)
)
_RUNNING = (
    select(
        jobs.c.worker,
        jobs.c.slot,
        jobs.c.claimed_at,
        jobs.c.expected,
        queues.c.group_id,
        queues.c.submitted_by,
        queues.c.limit_key,
        groups.c.org_id,
        groups.c.target,
    )
    .join_from(jobs, queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .where(in_state(State.RUNNING))
)


def _places(
    tx: Tx, pool: str, since: float, wanted: frozenset[str], usual: Mapping[str, float]
) -> list[Place]:
    running = {(row.worker, row.slot): row for row in tx.conn.execute(_RUNNING)}
    rows = tx.conn.execute(_SLOTS, {"pool": pool, "since": since}).all()
    special: dict[str, set[str]] = {}
    for row in rows:
        if row.target is not None:
            special.setdefault(row.worker, set()).add(row.target)
    installs = durations.usual(tx, durations.SETUP)
    found = []
    for row in rows:
        if row.state != SlotState.READY.value:
            continue
        serves = wanted - special.get(row.worker, set()) if row.target is None else {row.target}
        if row.targets is not None:
            serves &= set(json.loads(row.targets))
        cost = installs.get(row.target, INSTALL_SECONDS) if row.target else 0.0
        held_for = math.inf if row.ready_at is None else tx.now - row.ready_at
        slot = Slot(row.target, row.group_id, cost, held_for)
        job = running.get((row.worker, row.name))
        left = 0.0 if job is None else _left(tx, row, job, usual)
        found.append(Place(slot, frozenset(serves), left, job))
    return found


def _left(tx: Tx, slot: Any, job: Any, usual: Mapping[str, float]) -> float:
    seconds = _seconds(job.expected, job.target, usual)
    began = max(float(job.claimed_at), slot.ready_at or 0.0)
    return max(began + seconds - tx.now, OVERDUE * seconds)
