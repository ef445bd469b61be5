"""The yard: the snapshot from which policy chooses, and carrying out what it chose.

Read only when there is a choice: a worker whose one open queue is a lane needs none of it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import bindparam, select, update

from runyard.domain.job import State
from runyard.domain.slot import SlotState
from runyard.policy.choose import Candidate, Choice, Group, Queue, Slot, Usage, choose
from runyard.policy.estimate import or_unknown
from runyard.policy.fits import Rules
from runyard.policy.share import decayed
from runyard.store import rules, tallies
from runyard.store.database import Tx
from runyard.store.openqueues import Memory, OpenQueue, Overview, candidate
from runyard.store.schema import IN_ORDER, groups, in_state, jobs, slots, usage, workers
from runyard.store.statement import Statement

HEADS = 4  # jobs of a queue that are read at once, beyond those that are no choice


@dataclass(frozen=True, slots=True)
class FreeSlot:
    """A slot that could run something now. ``target`` None means any; ``group_id`` is the group
    whose build is installed; ``install_seconds`` is what another install would take."""

    name: str
    target: str | None = None
    group_id: int | None = None
    install_seconds: float = 60.0
    excludes: frozenset[str] = frozenset()  # for a slot of any target: those it does not serve

    def serves(self, target: str) -> bool:
        """Whether jobs of a target may run here."""
        if self.target is None:
            return target not in self.excludes
        return self.target == target


@dataclass(frozen=True, slots=True)
class Pick:
    """What a slot takes: the first job of a queue, or a certain one; ``installs`` if the slot has
    to install the group's build before."""

    slot: FreeSlot
    queue: OpenQueue
    seq: int | None = None
    installs: bool = False


class Yard:
    """What may start, who holds what and who has used what, as of one transaction."""

    def __init__(
        self,
        tx: Tx,
        worker: str,
        memory: Memory,
        seen: Overview,
        weights: Mapping[str, float],
        alive_since: float,
    ) -> None:
        self._tx = tx
        self._worker = worker
        unfolded = tallies.unfolded(tx)
        memory.refresh(tx, seen.folds, unfolded)
        self._memory = memory
        self._rules = rules.read(tx) if seen.is_ruled else Rules()
        self._is_ruled = bool(self._rules.paused or self._rules.maximum)
        self._heads: dict[int, list[Candidate]] = {}  # of queues of which something was taken
        self._given: dict[int, set[int]] = {}
        self._groups = with_unfolded(memory.groups, unfolded)
        self._usage = usage_of(tx, unfolded, weights)
        self._alive_since = alive_since
        self._slots = self._slots_alive()
        self._holders = _holders(self._slots)
        self._busy = busy(tx, self._slots) if self._holders else {}
        self._ready = {(row.worker, row.name): row.ready_at for row in self._slots}
        # General slots take nothing for which their worker has special ones.
        self._special = {(row.worker, row.target) for row in self._slots}
        self._avoiding = _avoiding(tx)

    def _slots_alive(self) -> list[Any]:
        """What a worker that is gone had on its slots, nobody holds."""
        return [row for row in _SLOTS.rows(self._tx) if row.seen_at >= self._alive_since]

    def give(self, slot: FreeSlot) -> Pick | None:
        """What a free slot runs next; None if it should rather stay idle."""
        if any(row.state != SlotState.READY.value for row in self._slots if self._is(row, slot)):
            return None
        while (choice := self._choose(slot)) is not None:
            if not choice.installs or self._hold(slot, choice.group):
                queue = self._memory.queues[choice.queue.id]
                job = self._job(queue, choice, self._avoided(slot))
                self._take(slot, queue, job, installs=choice.installs)
                seq = None if queue.is_lane else job.seq
                return Pick(slot, queue, seq, choice.installs)
        return None

    def _is(self, row: Any, slot: FreeSlot) -> bool:
        return bool(row.worker == self._worker and row.name == slot.name)

    def _choose(self, slot: FreeSlot) -> Choice | None:
        avoided = self._avoided(slot)
        is_plain = not (avoided or self._is_ruled)
        targets = {group.target for group in self._groups.values()}
        served = {target for target in targets if slot.serves(target)}
        seen = [
            group
            if is_plain and number not in self._holders
            else self._seen_by(slot, group, avoided)
            for number, group in self._groups.items()
            if group.target in served
        ]
        ready_at = self._ready.get((self._worker, slot.name))
        held_for = math.inf if ready_at is None else self._tx.now - ready_at
        where = Slot(slot.target, slot.group_id, slot.install_seconds, held_for)
        return choose(where, seen, self._usage, self._tx.now)

    def _seen_by(self, slot: FreeSlot, group: Group, avoided: frozenset[int]) -> Group:
        """A group with the queues of it that may start, and the other slots that hold it."""
        if avoided or self._is_ruled:
            group = replace(group, queues=self._open(group.id, avoided))
        others = self._holders.get(group.id, set()) - {(self._worker, slot.name)}
        if not others:
            return group
        left = [self._busy.get(holder, 0.0) for holder in others]
        soon = sum(seconds < slot.install_seconds for seconds in left)
        return replace(group, holders=len(left), busy=sum(left), soon=soon)

    def _avoided(self, slot: FreeSlot) -> frozenset[int]:
        """The jobs that infrastructure failed on this slot, if there is another for them."""
        if not self._avoiding:
            return frozenset()
        here = f"{self._worker}/{slot.name}"
        others = {
            f"{row.worker}/{row.name}"
            for row in self._slots
            if row.state == SlotState.READY.value and self._may_replace(row, slot)
        }
        return frozenset(
            seq
            for seq, avoids in self._avoiding.items()
            if here in avoids and others - avoids - {here}
        )

    def _may_replace(self, row: Any, slot: FreeSlot) -> bool:
        """Whether another slot serves what this one does."""
        if row.target is not None or slot.target is None:
            return bool(row.target == slot.target)
        targets = None if row.targets is None else json.loads(row.targets)
        return (row.worker, slot.target) not in self._special and (
            targets is None or slot.target in targets
        )

    def _open(self, group: int, avoided: frozenset[int] = frozenset()) -> tuple[Queue, ...]:
        return tuple(
            Queue(queue.id, queue.submitted_by, head, queue.priority)
            for queue in self._memory.of_group[group].values()
            if self._rules.allow(queue) and (head := self._head(queue, avoided)) is not None
        )

    def _head(self, queue: OpenQueue, avoided: frozenset[int]) -> Candidate | None:
        """The first job that is left of a queue and is none of ``avoided``."""
        return next(iter(self._first(queue, avoided, 1)), None)

    def _job(self, queue: OpenQueue, choice: Choice, avoided: frozenset[int]) -> Candidate:
        """The one that was chosen of a queue: not its head if that is left to a holder."""
        if not choice.leaves:
            return choice.queue.head
        return self._first(queue, avoided, choice.leaves + 1)[-1]

    def _first(self, queue: OpenQueue, avoided: frozenset[int], count: int) -> Sequence[Candidate]:
        """The first jobs that are left of a queue and are none of ``avoided``."""
        known = self._heads.setdefault(queue.id, [queue.head])
        found = [job for job in known if job.seq not in avoided]
        if len(found) < count:
            given = self._given.get(queue.id, set())
            limit = len(given) + len(avoided) + count + HEADS
            rows = _HEADS.rows(self._tx, queue=queue.id, limit=limit)
            known[:] = [candidate(row) for row in rows if row.seq not in given]
            found = [job for job in known if job.seq not in avoided]
        return found[:count]

    def _take(self, slot: FreeSlot, queue: OpenQueue, job: Candidate, *, installs: bool) -> None:
        """Count one of its jobs as given away to a slot."""
        self._given.setdefault(queue.id, set()).add(job.seq)
        self._heads.setdefault(queue.id, [queue.head]).remove(job)
        self._rules.count(queue)
        group = self._groups[queue.group_id]
        install = slot.install_seconds if installs else 0.0
        self._busy[self._worker, slot.name] = install + job.expected
        self._groups[group.id] = replace(
            group,
            queues=self._open(group.id),
            work=max(0.0, group.work - job.expected),
            jobs=max(0, group.jobs - 1),
        )
        self._usage.charge(queue.target, queue.org_id, queue.submitted_by, job.expected)

    def _hold(self, slot: FreeSlot, group: Group) -> bool:
        """Become a holder. Whoever else is doing so right now is let go first: then this group is
        not what it looked like, and another is chosen."""
        if not _LOCKED.rows(self._tx, group=group.id):
            del self._groups[group.id]
            return False
        me = (self._worker, slot.name)
        held_by = _holders(self._slots_alive()).get(group.id, set()) - {me}
        if held_by != self._holders.get(group.id, set()) - {me}:
            self._holders[group.id] = held_by
            return False
        ready = self._tx.now + slot.install_seconds
        held = {"who": self._worker, "where": slot.name, "group": group.id, "ready": ready}
        _HOLD.run(self._tx, [held])
        for holders in self._holders.values():
            holders.discard(me)
        self._holders.setdefault(group.id, set()).add(me)
        return True


_HEADS = Statement(
    select(jobs.c.seq, jobs.c.rank, jobs.c.behind, jobs.c.expected)
    .where(in_state(State.QUEUED), jobs.c.queue_id == bindparam("queue"))
    .order_by(*IN_ORDER)
    .limit(bindparam("limit"))
)
_LOCKED = Statement(
    select(groups.c.id)
    .where(groups.c.id == bindparam("group"))
    .with_for_update(skip_locked=True, of=groups)
)
_HOLD = Statement(
    update(slots)
    .where(slots.c.worker == bindparam("who"), slots.c.name == bindparam("where"))
    .values(group_id=bindparam("group"), ready_at=bindparam("ready"))
)
_USAGE = Statement(select(usage))
_SLOTS = Statement(
    select(
        slots.c.worker,
        slots.c.name,
        slots.c.target,
        slots.c.group_id,
        slots.c.state,
        slots.c.ready_at,
        workers.c.seen_at,
        workers.c.targets,
    ).join(workers, workers.c.id == slots.c.worker)
)
_AVOIDING = Statement(
    select(jobs.c.seq, jobs.c.avoids).where(
        in_state(State.QUEUED), jobs.c.avoids.is_not(None), jobs.c.avoids_until > bindparam("now")
    )
)


def with_unfolded(folded: Mapping[int, Group], unfolded: Iterable[Any]) -> dict[int, Group]:
    """Groups with what is expected of all their work, given the tallies that lack in them."""
    found = dict(folded)
    for row in unfolded:
        if (group := found.get(row.group_id)) is not None:
            jobs, work = group.jobs + int(row.queued), group.work + row.work
            found[group.id] = replace(group, jobs=jobs, work=work)
    return found


def _holders(rows: Iterable[Any]) -> dict[int, set[tuple[str, str]]]:
    """Who holds which group: (worker, slot). One that takes no jobs keeps no others away."""
    found: dict[int, set[tuple[str, str]]] = {}
    for row in rows:
        if row.group_id is not None and row.state == SlotState.READY.value:
            found.setdefault(row.group_id, set()).add((row.worker, row.name))
    return found


_RUNNING = Statement(
    select(jobs.c.worker, jobs.c.slot, jobs.c.claimed_at, jobs.c.expected).where(
        in_state(State.RUNNING)
    )
)


def busy(tx: Tx, rows: Iterable[Any]) -> dict[tuple[str, str], float]:
    """For how many more seconds holders are expected to be busy with what runs on them, by
    (worker, slot)."""
    ready = {(row.worker, row.name): row.ready_at for row in rows if row.group_id is not None}
    found = {}
    for job in _RUNNING.rows(tx):
        if (holder := (job.worker, job.slot)) in ready:
            began = max(job.claimed_at, ready[holder] or 0.0)
            found[holder] = max(0.0, began + or_unknown(job.expected) - tx.now)
    return found


def _avoiding(tx: Tx) -> dict[int, frozenset[str]]:
    """The queued jobs that shall rather run elsewhere, and the slots they avoid."""
    rows = _AVOIDING.rows(tx, now=tx.now)
    return {row.seq: frozenset(row.avoids.split("\n")) for row in rows}


def usage_of(tx: Tx, unfolded: Iterable[Any], weights: Mapping[str, float]) -> Usage:
    """Who has used how much, given the tallies that are not folded in yet."""
    seconds = {
        (row.target, row.org_id, row.submitted_by): decayed(row.seconds, tx.now - row.at)
        for row in _USAGE.rows(tx)
    }
    for row in unfolded:
        key = (row.target, row.org_id, row.submitted_by)
        seconds[key] = seconds.get(key, 0.0) + row.used
    return Usage(seconds, weights)
