"""What goes to the database in one statement arrives as if each row had gone by itself."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from runyard.domain.event import EventKind
from runyard.store import claim as claims
from runyard.store import events
from runyard.store.claim import Claimer
from runyard.store.database import Store
from runyard.store.schema import events as table
from runyard.store.schema import jobs
from runyard.store.yard import FreeSlot
from tests.store.support import LEASE, new, submit

ODD = ["", "null", "a 'quoted' \"name\"", "C:\\new\\u0041", "größer, 東京\n", "{1,2}", "%(job)s"]


@pytest.mark.parametrize("count", [1, 2, 500])
def test_rows_arrive_in_their_order_and_to_the_last_bit(store: Store, count: int) -> None:
    rows = [
        events.record(1764123456.789 + n / 3, EventKind.REFUSED, n, n or None, {"x": ODD[n % 7]})
        for n in range(count)
    ]
    store.write(lambda tx: events.append(tx, rows))
    with store.read() as tx:
        columns = [table.c[name] for name in events.COLUMNS]
        found = tx.conn.execute(select(*columns).order_by(table.c.seq)).all()
    assert [tuple(row) for row in found] == rows


def test_each_job_gets_the_slot_that_took_it(store: Store) -> None:
    submit(store, *(new(f"job {n}") for n in range(len(ODD))))
    free = [FreeSlot(name) for name in ODD]
    claimed = store.write(lambda tx: claims.claim(tx, Claimer("w1", LEASE), free), relaxed=True)
    with store.read() as tx:
        found = {row.seq: row.slot for row in tx.conn.execute(select(jobs.c.seq, jobs.c.slot))}
    assert found == {one.seq: one.slot for one in claimed}
    assert sorted(found.values()) == sorted(ODD)
