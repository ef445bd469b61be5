"""Claim: give queued jobs to a worker's free slots.

The cost does not grow with the queue: a queue's head is the beginning of its part of an index that
holds queued jobs only, and of the open queues only those are read that have changed. What
decides among them is ``policy``; here its snapshot is read and its choice is carried out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, case, func, null, select, update

from runyard.domain.event import EventKind
from runyard.domain.job import State
from runyard.policy.estimate import or_unknown
from runyard.store import events, openqueues, stay, tallies
from runyard.store.database import Tx
from runyard.store.openqueues import Memory, OpenQueue
from runyard.store.registry import LIVE_LEASES
from runyard.store.schema import IN_ORDER, attempts, batches, in_state, job_specs, jobs
from runyard.store.statement import Statement, among, entry
from runyard.store.tallies import Change
from runyard.store.yard import FreeSlot, Pick, Yard


@dataclass(frozen=True, slots=True)
class Claimer:
    """Who claims: ``pools`` and ``targets`` it serves (None: all), and for how many seconds.

    ``group_slots`` says for some targets how many slots may hold one group, ``weights`` what share
    some orgs have, 1 being the usual.
    """

    worker: str
    lease_seconds: float
    pools: frozenset[str] = frozenset({""})
    targets: frozenset[str] | None = None
    group_slots: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    memory: Memory = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        memory = Memory(self.pools, self.targets, self.group_slots)
        object.__setattr__(self, "memory", memory)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one attempt until ``lease_until``; ``fence`` must be shown with its end.

    ``number`` counts the attempts that were begun; ``installs`` says that the slot has to install
    the group's build before.
    """

    seq: int
    fence: int
    slot: str
    id: str
    name: str
    spec: str
    batch_id: str | None
    lease_until: float
    group_id: int = 0
    target: str = "local"
    build: str = ""
    installs: bool = False
    number: int = 1


def claim(
    tx: Tx, claimer: Claimer, slots: Sequence[FreeSlot], ahead: Sequence[FreeSlot] = ()
) -> list[Claim]:
    """Take the best queued jobs, at most one for each of the free ``slots``, and, where there is
    nothing to choose, one for each of those that are about to be free."""
    if not slots and not ahead:
        return []
    if _CLAIM in tx.pending:  # an earlier claim of this transaction must be seen by this one
        tx.flush()
    picks: dict[int, list[Pick]] = {}
    for pick in _picks(tx, claimer, slots, ahead):
        picks.setdefault(pick.queue.id, []).append(pick)
    until = tx.now + claimer.lease_seconds
    taken = [
        (row, pick) for queue, chosen in picks.items() for row, pick in _take(tx, queue, chosen)
    ]
    _record(tx, claimer, taken, until)
    return [
        Claim(
            row.seq,
            row.fence + 1,
            pick.slot.name,
            row.id,
            row.name,
            row.spec,
            row.batch_id,
            until,
            pick.queue.group_id,
            pick.queue.target,
            pick.queue.build,
            pick.installs,
            row.begun + 1,
        )
        for row, pick in taken
    ]


def _picks(
    tx: Tx, claimer: Claimer, slots: Sequence[FreeSlot], ahead: Sequence[FreeSlot]
) -> list[Pick]:
    """Which queue each slot takes from."""
    if slots and (staying := stay.picks(tx, claimer.worker, slots)) is not None:
        return staying
    seen = openqueues.overview(tx)
    if seen is None:
        return []
    if seen.is_only and seen.first.is_lane and not seen.is_ruled:
        return _from_lane(claimer, seen.first, (*slots, *ahead))
    if not slots:
        return []
    tx.flush()  # what ended in this transaction does not run any more
    alive_since = tx.now - LIVE_LEASES * claimer.lease_seconds
    yard = Yard(tx, claimer.worker, claimer.memory, seen, claimer.weights, alive_since)
    return [pick for slot in slots if (pick := yard.give(slot)) is not None]


def _from_lane(claimer: Claimer, lane: OpenQueue, slots: Sequence[FreeSlot]) -> list[Pick]:
    """What slots take when there is nothing but one lane."""
    if not claimer.memory.serves(lane):
        return []
    return [Pick(slot, lane) for slot in slots if slot.serves(lane.target)]


def _take(tx: Tx, queue: int, picks: Sequence[Pick]) -> Iterable[tuple[Any, Pick]]:
    """Lock what was picked of a queue. A job that somebody else has locked meanwhile is passed
    over: in a lane for the next one; in a group its slot looks again a moment later."""
    certain = {pick.seq: pick for pick in picks if pick.seq is not None}
    if not certain:
        return zip(_TAKE.rows(tx, queue=queue, limit=len(picks)), picks, strict=False)
    rows = _TAKE_THESE.rows(tx, seqs=tx.dialect.array(certain))
    return [(row, certain[row.seq]) for row in rows]


def _record(tx: Tx, claimer: Claimer, taken: Sequence[tuple[Any, Pick]], until: float) -> None:
    if not taken:
        return
    where = {row.seq: pick.slot.name for row, pick in taken}
    claimed = {"jobs": tx.dialect.array(where), "where": json.dumps(where)}
    tx.later(_CLAIM, [{**claimed, "who": claimer.worker, "until": until, "at": tx.now}])
    kind = EventKind.CLAIMED
    events.append(
        tx,
        (
            events.record(
                tx.now,
                kind,
                row.seq,
                row.fence + 1,
                {"worker": claimer.worker, "slot": pick.slot.name},
            )
            for row, pick in taken
        ),
    )
    tallies.add(
        tx,
        (
            Change(pick.queue.id, -1, -seconds, 1, seconds)
            for row, pick in taken
            for seconds in (or_unknown(row.expected),)
        ),
    )


_BEGUN = (
    select(func.count()).where(attempts.c.job_seq == jobs.c.seq).correlate(jobs).scalar_subquery()
)
_JOBS = (
    select(
        jobs.c.seq,
        jobs.c.id,
        jobs.c.fence,
        jobs.c.expected,
        job_specs.c.name,
        job_specs.c.spec,
        select(batches.c.id)
        .where(batches.c.seq == jobs.c.batch_seq)
        .scalar_subquery()
        .label("batch_id"),
        # Most jobs are claimed for the first time.
        case((jobs.c.fence == 0, 0), else_=_BEGUN).label("begun"),
    )
    .join_from(jobs, job_specs, job_specs.c.job_seq == jobs.c.seq)
    .where(in_state(State.QUEUED))
    .with_for_update(skip_locked=True, of=jobs)
)
_TAKE = Statement(
    _JOBS.where(jobs.c.queue_id == bindparam("queue")).order_by(*IN_ORDER).limit(bindparam("limit"))
)
_TAKE_THESE = Statement(_JOBS.where(among(jobs.c.seq, "seqs")))
_CLAIM = Statement(
    update(jobs)
    .where(among(jobs.c.seq, "jobs"))
    .values(
        state=State.RUNNING.value,
        fence=jobs.c.fence + 1,
        worker=bindparam("who"),
        slot=entry(jobs.c.seq, "where"),
        lease_until=bindparam("until"),
        claimed_at=bindparam("at"),
        started_at=func.coalesce(jobs.c.started_at, bindparam("at")),
        run_after=null(),
        exit_code=null(),
    )
)
