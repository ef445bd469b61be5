"""Events as they come, for all who look on.

Numbers of events are drawn before their transactions commit, so on PostgreSQL one may come into
sight after another with a higher number. A number that is missing is looked for again for a while;
it may also never come, since its transaction was rolled back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select

from runyard.clock import isoformat
from runyard.store.database import Store, Tx
from runyard.store.schema import batches, events, groups, jobs, queues
from runyard.store.views import attempt_number, fences

WAIT_SECONDS = 10.0  # for a number that is missing; no transaction of ours takes so long
MOST_MISSING = 1_000
AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, with what decides who may see it."""

    seq: int
    at: float
    kind: str
    job_id: str
    batch_id: str | None
    org_id: str
    attempt: int | None
    details: str | None  # JSON

    def data(self) -> dict[str, Any]:
        """The event as JSON has it."""
        return {
            "seq": self.seq,
            "at": isoformat(self.at),
            "kind": self.kind,
            "job_id": self.job_id,
            "batch_id": self.batch_id,
            "attempt": self.attempt,
            "data": json.loads(self.details) if self.details else {},
        }


class Feed:
    """Reads on from an event. ``settled`` is the last one below which nothing is missing."""

    def __init__(self, store: Store, last: int, missing: Iterable[int] = ()) -> None:
        self._store = store
        self.last = last
        # Numbers, and when each is given up (monotonic).
        self._missing = dict.fromkeys(missing, time.monotonic() + WAIT_SECONDS)
        self.settled = self._settled()

    def read(self) -> list[Entry]:
        """What came into sight since the last call; some of it at most."""
        now = time.monotonic()
        with self._store.read() as tx:
            found = _entries(tx, events.c.seq > self.last, AT_ONCE)
            if self._missing:
                late = _entries(tx, events.c.seq.in_(list(self._missing)), AT_ONCE)
                for entry in late:
                    del self._missing[entry.seq]
                found = late + found
        for entry in found:
            if entry.seq > self.last:
                gap = range(max(self.last + 1, entry.seq - MOST_MISSING), entry.seq)
                self._missing.update(dict.fromkeys(gap, now + WAIT_SECONDS))
                self.last = entry.seq
        self._missing = {seq: until for seq, until in self._missing.items() if until > now}
        self.settled = self._settled()
        return found

    def _settled(self) -> int:
        return min(self._missing, default=self.last + 1) - 1


def start(store: Store) -> Feed:
    """A feed from now on, and of what has been written by now but comes into sight later."""
    with store.read() as tx:
        last = tx.conn.execute(select(func.max(events.c.seq))).scalar() or 0
        first = max(0, last - MOST_MISSING)
        seen = tx.conn.execute(select(events.c.seq).where(events.c.seq > first)).scalars().all()
    return Feed(store, last, missing=set(range(min(seen, default=last), last)).difference(seen))


def between(store: Store, after: int, until: int, limit: int) -> Sequence[Entry]:
    """The events behind one, up to another."""
    with store.read() as tx:
        return _entries(tx, (events.c.seq > after) & (events.c.seq <= until), limit)


def _entries(tx: Tx, condition: ColumnElement[bool], limit: int) -> list[Entry]:
    query = _ENTRIES.where(condition).order_by(events.c.seq).limit(limit)
    rows = tx.conn.execute(query).all()
    begun = fences(tx, sorted({row.job_seq for row in rows if row.fence is not None}))
    return [_entry(row, begun.get(row.job_seq, [])) for row in rows]


def _entry(row: Row[Any], begun: Sequence[int]) -> Entry:
    return Entry(
        seq=row.seq,
        at=row.at,
        kind=row.kind,
        job_id=row.job_id,
        batch_id=row.batch_id,
        org_id=row.org_id,
        attempt=attempt_number(begun, row.fence),
        details=row.data,
    )


_ENTRIES = (
    select(
        events,
        jobs.c.id.label("job_id"),
        batches.c.id.label("batch_id"),
        groups.c.org_id,
    )
    .join_from(events, jobs, jobs.c.seq == events.c.job_seq)
    .join(queues, queues.c.id == jobs.c.queue_id)
    .join(groups, groups.c.id == queues.c.group_id)
    .outerjoin(batches, batches.c.seq == jobs.c.batch_seq)
)
