"""Cancel, retry, complete: what people change about jobs that exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, func, select, update

from runyard.domain.event import EventKind
from runyard.domain.job import FINAL, WAITING, State
from runyard.domain.lifecycle import Transition
from runyard.errors import Conflict
from runyard.policy.choose import HIGH, rank, work_behind
from runyard.policy.estimate import UNKNOWN_SECONDS, or_unknown
from runyard.store import events, moves, registry, tallies
from runyard.store.database import Tx
from runyard.store.finish import record_attempts, running, settle, unexpected
from runyard.store.moves import Move
from runyard.store.resolve import chunks
from runyard.store.schema import dependencies, groups, in_state, jobs, queues, workers
from runyard.store.submit import queue_id, queue_of
from runyard.store.tallies import Change


@dataclass(slots=True)
class Cancelled:
    """What a cancel did: moves made at once, and the workers that have to end running jobs."""

    moves: list[Move] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    workers: set[str] = field(default_factory=set)


_BY_SEQ = (
    select(
        jobs.c.seq,
        jobs.c.id,
        jobs.c.state,
        jobs.c.fence,
        jobs.c.batch_seq,
        jobs.c.queue_id,
        jobs.c.expected,
        jobs.c.worker,
        jobs.c.cancel_requested,
    )
    .where(jobs.c.seq.in_(bindparam("seqs", expanding=True)))
    .order_by(jobs.c.seq)
)
_ASK = update(jobs).where(jobs.c.seq == bindparam("job")).values(cancel_requested=True)


def cancel(tx: Tx, seqs: Sequence[int]) -> Cancelled:
    """Cancel waiting jobs at once, ask the owners of running ones, leave final ones alone."""
    done = Cancelled()
    for part in chunks(sorted(seqs)):
        rows = tx.conn.execute(tx.dialect.lock(_BY_SEQ), {"seqs": part}).all()
        waiting = [row for row in rows if row.state in WAITING]
        running = [
            row for row in rows if row.state == State.RUNNING.value and not row.cancel_requested
        ]
        made = [Move.of(row, Transition.cancel()) for row in waiting]
        moves.apply(tx, made)
        done.moves += made
        _ask(tx, running, done)
    done.moves += settle(tx, done.moves)
    return done


def _ask(tx: Tx, running: Sequence[Any], done: Cancelled) -> None:
    if not running:
        return
    tx.conn.execute(_ASK, [{"job": row.seq} for row in running])
    kind = EventKind.CANCEL_REQUESTED
    events.append(tx, (events.record(tx.now, kind, row.seq, row.fence) for row in running))
    done.asked += [row.seq for row in running]
    done.workers |= {row.worker for row in running}


def complete(tx: Tx, seqs: Sequence[int]) -> list[Move]:
    """Declare jobs passed that have not ended, so that what waits for them goes on. Whoever runs
    one loses its lease, and ends it."""
    made: list[Move] = []
    for part in chunks(sorted(seqs)):
        ended = tx.conn.execute(_ENDED, {"seqs": part}).first()
        if ended is not None:
            raise Conflict(f"job {ended.id} is {ended.state} already")
        for row in tx.conn.execute(running(jobs.c.seq.in_(part))).all():
            move = Move.of(
                row,
                Transition.complete_running(),
                State.RUNNING,
                fence=row.fence,
                used=unexpected(row, tx.now - row.claimed_at),
            )
            record_attempts(tx, [(row, move)])
            made.append(move)
        rows = tx.conn.execute(tx.dialect.lock(_BY_SEQ), {"seqs": part}).all()
        made += [Move.of(row, Transition.complete()) for row in rows if row.state in WAITING]
    moves.apply(tx, made)
    return made + settle(tx, made)


_ENDED = select(jobs.c.id, jobs.c.state).where(
    jobs.c.seq.in_(bindparam("seqs", expanding=True)), jobs.c.finished_at.is_not(None)
)


def retry(tx: Tx, seqs: Sequence[int]) -> list[Move]:
    """Reopen failed, cancelled and skipped jobs with a fresh budget, and with them the jobs that
    were skipped because of them and of no other."""
    chosen = set(seqs) | _skipped_because_of(tx, seqs)
    made: list[Move] = []
    for part in chunks(sorted(chosen)):
        rows = tx.conn.execute(tx.dialect.lock(_BY_SEQ), {"seqs": part}).all()
        made += [_reopen(tx, row, chosen) for row in rows]
    moves.apply(tx, made)
    for part in chunks([move.seq for move in made]):
        tx.conn.execute(_FRESH, {"seqs": part})
        for pool in tx.conn.execute(_ABANDONED, {"seqs": part}).scalars().all():
            adopt(tx, pool)
    return made


# A foreground run leaves its pool behind when it has ended; nobody would take jobs from it.
_ABANDONED = (
    select(groups.c.pool)
    .distinct()
    .join(queues, queues.c.group_id == groups.c.id)
    .join(jobs, jobs.c.queue_id == queues.c.id)
    .where(
        jobs.c.seq.in_(bindparam("seqs", expanding=True)),
        groups.c.pool != "",
        groups.c.pool.not_in(select(workers.c.pool)),
    )
)
_FRESH = (
    update(jobs)
    .where(jobs.c.seq.in_(bindparam("seqs", expanding=True)))
    .values(failures=0, losses=0, started_at=None)
)
_SKIPPED_DEPENDENTS = (
    select(dependencies.c.job_seq)
    .join(jobs, jobs.c.seq == dependencies.c.job_seq)
    .where(
        dependencies.c.on_seq.in_(bindparam("seqs", expanding=True)),
        jobs.c.state == State.SKIPPED.value,
    )
)
_BAD_PARENTS = (
    select(dependencies.c.on_seq, dependencies.c.job_seq)
    .join(jobs, jobs.c.seq == dependencies.c.on_seq)
    .where(
        dependencies.c.job_seq.in_(bindparam("seqs", expanding=True)),
        jobs.c.state.in_([state.value for state in FINAL - {State.PASSED}]),
    )
)
_PARENTS = (
    select(jobs.c.seq, jobs.c.id, jobs.c.state)
    .join(dependencies, dependencies.c.on_seq == jobs.c.seq)
    .where(dependencies.c.job_seq == bindparam("job"))
    .order_by(jobs.c.seq)
)


def _skipped_because_of(tx: Tx, seqs: Sequence[int]) -> set[int]:
    """The jobs that were skipped, directly or through others, only because of these."""
    chosen = set(seqs)
    wave = list(chosen)
    while wave:
        found: set[int] = set()
        for part in chunks(wave):
            found.update(tx.conn.execute(_SKIPPED_DEPENDENTS, {"seqs": part}).scalars())
        wave = sorted(found - chosen)
        chosen |= found
    return chosen - set(seqs) - _doomed(tx, set(seqs), chosen - set(seqs))


def _doomed(tx: Tx, asked: set[int], skipped: set[int]) -> set[int]:
    """Those of the skipped jobs that, directly or through others, need one that is not reopened."""
    needed_by: dict[int, set[int]] = {}
    for part in chunks(sorted(skipped)):
        for parent, child in tx.conn.execute(_BAD_PARENTS, {"seqs": part}):
            needed_by.setdefault(parent, set()).add(child)
    doomed: set[int] = set()
    wave = needed_by.keys() - asked - skipped
    while wave:
        wave = set().union(*(needed_by.get(seq, ()) for seq in wave)) - doomed
        doomed |= wave
    return doomed


def _reopen(tx: Tx, row: Any, chosen: set[int]) -> Move:
    state = State(row.state)
    if state not in FINAL:
        raise Conflict(f"job {row.id} is {state}: only a job that has ended can be retried")
    if state is State.PASSED:
        raise Conflict(f"job {row.id} has passed: submit it again to run it again")
    waiting_on = 0
    # Locked, so that no parent can pass between this count and our commit.
    for parent in tx.conn.execute(tx.dialect.lock(_PARENTS), {"job": row.seq}):
        if parent.state == State.PASSED.value:
            continue
        if parent.state in FINAL and parent.seq not in chosen:
            raise Conflict(
                f"job {row.id} needs job {parent.id}, which is {parent.state}: retry that one"
            )
        waiting_on += 1
    return Move.of(row, Transition.reopen(waiting_on), waiting_on=waiting_on)


def set_priority(tx: Tx, seq: int, priority: int) -> None:
    """Give a waiting job another priority; what it has waited so far still counts."""
    row = tx.conn.execute(tx.dialect.lock(_PLACED), {"seq": seq}).one()
    if row.state not in WAITING:
        raise Conflict(f"job {row.id} is {row.state}: only one that waits can be moved in line")
    queue = queue_of(tx, row.group_id, row.submitted_by, row.limit_key, priority)
    seconds = or_unknown(row.expected)
    level = row.behind + (seconds if row.priority >= HIGH else 0.0)
    new = {
        "queue_id": queue,
        "priority": priority,
        "rank": rank(row.submitted_at, priority),
        "behind": work_behind(priority, seconds, level),
    }
    tx.conn.execute(update(jobs).where(jobs.c.seq == seq).values(new))
    if row.state == State.QUEUED.value:
        tallies.add(tx, [Change(row.queue_id, -1, -seconds), Change(queue, 1, seconds)])
    events.append(tx, [events.record(tx.now, EventKind.PRIORITY, seq, None, {"to": priority})])


_PLACED = (
    select(
        jobs.c.id,
        jobs.c.state,
        jobs.c.submitted_at,
        jobs.c.priority,
        jobs.c.expected,
        jobs.c.behind,
        jobs.c.queue_id,
        queues.c.group_id,
        queues.c.submitted_by,
        queues.c.limit_key,
    )
    .join(queues, queues.c.id == jobs.c.queue_id)
    .where(jobs.c.seq == bindparam("seq"))
)


def retire(tx: Tx, ids: Sequence[str]) -> None:
    """Strike workers from the list and open what their pools still hold to all others."""
    for worker in ids:
        adopt(tx, worker)
    registry.sign_off(tx, ids)


def adopt(tx: Tx, pool: str) -> int:
    """Open the unfinished jobs of an abandoned pool to all workers; returns how many."""
    adopted = 0
    for old in tx.conn.execute(_OF_POOL, {"pool": pool}).all():
        group = (old.org_id, old.target, old.app_version_id)
        place = (*group, old.submitted_by, old.limit_key, old.priority)
        shared = queue_id(tx, "", place)
        queued = tx.conn.execute(_QUEUED, {"old": old.id}).one()
        adopted += tx.conn.execute(_ADOPT, {"old": old.id, "new": shared}).rowcount
        work = queued.work or 0.0
        tallies.add(
            tx, [Change(old.id, -queued.amount, -work), Change(shared, queued.amount, work)]
        )
    return adopted


_OF_POOL = (
    select(queues, groups.c.org_id, groups.c.target, groups.c.app_version_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .where(groups.c.pool == bindparam("pool"))
)
_QUEUED = select(
    func.count().label("amount"),
    func.sum(func.coalesce(jobs.c.expected, UNKNOWN_SECONDS)).label("work"),
).where(in_state(State.QUEUED), jobs.c.queue_id == bindparam("old"))
_ADOPT = (
    update(jobs)
    .where(jobs.c.queue_id == bindparam("old"), jobs.c.finished_at.is_(None))
    .values(queue_id=bindparam("new"))
)
