"""Open queues: those with jobs that may start, and what a worker remembers of them.

To read all of them takes as long as there are many, so a worker does it once and then reads only
what changed. Whatever enters or leaves a queue leaves a tally, which tells of it until it is folded
into its group; from then on the number of that fold, kept with the group, does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, exists, func, or_, select, text

from runyard.domain.job import State
from runyard.domain.slot import SlotState
from runyard.policy.choose import Candidate, Group, Queue
from runyard.policy.estimate import or_unknown
from runyard.store.database import Tx
from runyard.store.schema import (
    IN_ORDER,
    cursors,
    groups,
    in_state,
    jobs,
    limits,
    pauses,
    queues,
    slots,
)
from runyard.store.statement import Statement, among

FORGET = 60.0  # seconds after which all is read anew, should a change ever have been missed


@dataclass(frozen=True, slots=True)
class OpenQueue:
    """A queue with jobs that may start, and its head. ``queued`` and ``work`` are its group's, as
    last folded."""

    id: int
    group_id: int
    submitted_by: str
    limit_key: str
    priority: int
    pool: str
    org_id: str
    target: str
    build: str
    queued: int
    work: float
    rank: float
    behind: float
    expected: float | None
    seq: int

    @property
    def is_lane(self) -> bool:
        """Whether its jobs need no install."""
        return not self.build

    @property
    def head(self) -> Candidate:
        """Its first job, as policy sees it."""
        return candidate(self)


def candidate(row: Any) -> Candidate:
    """A queued job as policy sees it."""
    return Candidate(row.rank, -row.behind, row.seq, or_unknown(row.expected))


def of_head(column: Any) -> Any:
    """A column of the first job of a row of ``queues``; NULL if it has none. The columns are asked
    for one by one: joined by its number instead, PostgreSQL without statistics reads the whole
    table."""
    return (
        select(column)
        .where(in_state(State.QUEUED), jobs.c.queue_id == queues.c.id)
        .order_by(*IN_ORDER)
        .limit(1)
        .correlate(queues)
        .scalar_subquery()
    )


COLUMNS = (
    queues.c.id,
    queues.c.group_id,
    queues.c.submitted_by,
    queues.c.limit_key,
    queues.c.priority,
    groups.c.pool,
    groups.c.org_id,
    groups.c.target,
    groups.c.app_version_id,
    groups.c.queued,
    groups.c.work,
    of_head(jobs.c.rank).label("rank"),
    of_head(jobs.c.behind).label("behind"),
    of_head(jobs.c.expected).label("expected"),
    of_head(jobs.c.seq).label("seq"),
)
_SOME = Statement(
    select(*COLUMNS)
    .join_from(queues, groups, groups.c.id == queues.c.group_id)
    .where(among(queues.c.id, "ids"))
)
# A loose index scan: each step jumps to the next queue instead of walking its jobs.
_IDS = Statement(
    text(
        """
        WITH RECURSIVE open_queues(id) AS (
            SELECT min(queue_id) FROM jobs WHERE state = 'queued'
            UNION ALL
            SELECT (SELECT min(queue_id) FROM jobs
                    WHERE state = 'queued' AND queue_id > open_queues.id)
            FROM open_queues WHERE open_queues.id IS NOT NULL
        )
        SELECT id FROM open_queues WHERE id IS NOT NULL
        """
    )
)
# Pauses, limits and slots out of order: a claim has to look at more than queues.
ARE_RULES = or_(
    exists().select_from(pauses),
    exists().select_from(limits),
    exists().where(slots.c.state != SlotState.READY.value),
)
_FOLDS = select(cursors.c.seq).filter_by(name="folds").scalar_subquery()


def _of_queued(which: Any) -> Any:
    return select(which(jobs.c.queue_id)).where(in_state(State.QUEUED)).scalar_subquery()


# The folds are read before the tallies: what is folded later has a higher number.
_OVERVIEW = Statement(
    select(*COLUMNS, _of_queued(func.max), ARE_RULES, func.coalesce(_FOLDS, 0))
    .join_from(queues, groups, groups.c.id == queues.c.group_id)
    .where(queues.c.id == _of_queued(func.min))
)
_FOLDED = Statement(
    select(queues.c.id)
    .join_from(groups, queues, queues.c.group_id == groups.c.id)
    .where(groups.c.folded > bindparam("since"))
)


def open_queues(tx: Tx, pools: frozenset[str] | None = None) -> list[OpenQueue]:
    """The queues with jobs that may start, in the given pools or in all."""
    found = some(tx, [row.id for row in _IDS.rows(tx)])
    return [queue for queue in found if pools is None or queue.pool in pools]


def some(tx: Tx, ids: Iterable[int]) -> list[OpenQueue]:
    """Those of some queues that are open."""
    rows = _SOME.rows(tx, ids=tx.dialect.array(ids))
    return [OpenQueue(*row) for row in rows if row.seq is not None]


@dataclass(frozen=True, slots=True)
class Overview:
    """The first open queue, whether it ``is_only`` one, whether there are any pauses, limits or
    slots out of order (``is_ruled``), and how often tallies have been folded (``folds``)."""

    first: OpenQueue
    is_only: bool
    is_ruled: bool
    folds: int


def overview(tx: Tx) -> Overview | None:
    """What a claim looks at before anything else; None if nothing may start."""
    for *first, last, is_ruled, folds in _OVERVIEW.rows(tx):
        queue = OpenQueue(*first)
        return Overview(queue, queue.id == last, bool(is_ruled), folds)
    return None


@dataclass(slots=True)
class Memory:
    """The open queues that one worker serves, from claim to claim; its claims come one by one.

    ``groups`` are as policy sees them, but for holders and for what is not folded in yet.
    """

    pools: frozenset[str]
    targets: frozenset[str] | None
    group_slots: Mapping[str, int]
    queues: dict[int, OpenQueue] = field(default_factory=dict)
    of_group: dict[int, dict[int, OpenQueue]] = field(default_factory=dict)
    groups: dict[int, Group] = field(default_factory=dict)
    _folds: int | None = None  # that are known; None if nothing is
    _read_at: float = 0.0
    _doubtful: set[int] = field(default_factory=set)

    def serves(self, queue: OpenQueue) -> bool:
        """Whether the worker takes jobs from a queue."""
        return queue.pool in self.pools and (self.targets is None or queue.target in self.targets)

    def refresh(self, tx: Tx, folds: int, unfolded: Iterable[Any]) -> None:
        """Read what has changed; ``folds`` was read before ``unfolded``, which are the tallies."""
        known, self._folds = self._folds, None  # should this fail, all is read anew
        changed = {row.queue_id for row in unfolded}
        if known is None or not 0 <= tx.now - self._read_at < FORGET:
            self.queues, self.of_group, self.groups = {}, {}, {}
            self._read_at = tx.now
            stale = {row.id for row in _IDS.rows(tx)}
        else:
            # What this transaction, or one that failed, changed itself is read once more after it.
            stale = changed | self._doubtful
            if folds != known:
                stale |= {row.id for row in _FOLDED.rows(tx, since=known)}
        if stale:
            self._replace(stale, some(tx, stale))
        self._doubtful, self._folds = changed, folds

    def _replace(self, stale: Iterable[int], fresh: Iterable[OpenQueue]) -> None:
        touched = set()
        for number in stale:
            if (old := self.queues.pop(number, None)) is not None:
                self.of_group[old.group_id].pop(number)
                touched.add(old.group_id)
        for queue in fresh:
            if self.serves(queue):
                self.queues[queue.id] = queue
                self.of_group.setdefault(queue.group_id, {})[queue.id] = queue
                touched.add(queue.group_id)
        for group in touched:
            if self.of_group[group]:
                self.groups[group] = as_group(self.of_group[group].values(), self.group_slots)
            else:
                del self.of_group[group], self.groups[group]


def as_group(of_one: Iterable[OpenQueue], group_slots: Mapping[str, int]) -> Group:
    """The open queues of a group as policy sees them."""
    found = tuple(of_one)
    one = found[-1]
    return Group(
        one.group_id,
        one.org_id,
        one.target,
        one.build,
        tuple(Queue(queue.id, queue.submitted_by, queue.head, queue.priority) for queue in found),
        one.work,
        one.queued,
        max_holders=group_slots.get(one.target),
    )
