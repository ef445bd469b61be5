"""Schedules are kept, and each that is due is taken by one."""

from __future__ import annotations

from typing import Any

import pytest

from runyard.clock import ManualClock
from runyard.errors import StoreError
from runyard.store import templates, timetable
from runyard.store.database import Store
from runyard.store.schedule import is_expecting
from runyard.store.timetable import ScheduleRow
from tests.store.support import in_parallel


def add(store: Store, name: str = "nightly", org: str = "acme", **fields: Any) -> bool:
    values = {
        "org_id": org,
        "name": name,
        "template": "t",
        "cron": "0 2 * * *",
        "timezone": "UTC",
        "parameters": "{}",
        "missed": "once",
        "overlap": "skip",
        "created_by": "ann",
        "next_at": 2_000_000.0,
    }
    store.write(lambda tx: templates.save(tx, org, "t", "{}", None, "ann"))
    return store.write(lambda tx: timetable.add(tx, {**values, **fields}))


def get(store: Store, name: str = "nightly") -> ScheduleRow:
    with store.read() as tx:
        row = timetable.get(tx, "acme", name)
    assert row is not None
    return row


def change(store: Store, **values: Any) -> None:
    row = get(store)
    store.write(lambda tx: timetable.change(tx, row.id, **values))


def test_a_name_is_taken_once_in_an_org(store: Store) -> None:
    assert add(store) is True
    assert add(store, template="t") is False
    assert add(store, org="other") is True

    row = get(store)
    assert (row.cron, row.last_due, row.last_batch) == ("0 2 * * *", None, None)
    store.write(lambda tx: timetable.remove(tx, row.id))
    with store.read() as tx:
        assert timetable.get(tx, "acme", "nightly") is None
        assert timetable.get(tx, "other", "nightly") is not None


def test_pages_are_in_order_of_org_and_name(store: Store) -> None:
    for org, name in (("b", "x"), ("a", "y"), ("a", "X")):
        add(store, name, org)

    with store.read() as tx:
        found = [(row.org_id, row.name) for row in timetable.some(tx, None, 2, ("", ""))]
        assert found == [("a", "X"), ("a", "y")]
        assert [row.name for row in timetable.some(tx, None, 9, ("a", "y"))] == ["x"]
        assert [row.name for row in timetable.some(tx, "a", 9, ("a", "X"))] == ["y"]
        assert timetable.of_template(tx, "a", "t") == ["X", "y"]
        assert timetable.of_template(tx, "a", "u") == []


@pytest.mark.parametrize(
    "values",
    [
        {"next_at": None},
        {"paused_at": 1.0},
        {"missed": "never"},
        {"overlap": "never"},
        {"template": "gone"},
        {"cron": None},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(store: Store, values: dict[str, Any]) -> None:
    add(store)
    with pytest.raises(StoreError, match="refused"):
        change(store, **values)


def test_a_template_in_use_stays(store: Store) -> None:
    add(store)
    with pytest.raises(StoreError, match="refused"):
        store.write(lambda tx: templates.remove(tx, "acme", "t"))


def test_what_is_due_is_found_when_it_is(store: Store, clock: ManualClock) -> None:
    add(store, "late", next_at=clock.now() + 10)
    add(store, "soon", next_at=clock.now() + 5)
    add(store, "paused", next_at=None, paused_at=clock.now())

    with store.read() as tx:
        assert timetable.next_due(tx) == 5
        assert timetable.due(tx) == []
    clock.advance(10)
    with store.read() as tx:
        assert timetable.next_due(tx) == 0
        late, soon = get(store, "late").id, get(store, "soon").id
        assert timetable.due(tx) == [soon, late]
        assert timetable.due(tx, 1) == [soon]


def test_workers_are_needed_while_one_is_not_paused(store: Store, clock: ManualClock) -> None:
    def needed(**options: bool) -> bool:
        with store.read() as tx:
            return is_expecting(tx, frozenset({""}), **options)

    assert not needed(with_schedules=True)
    add(store)
    assert needed(with_schedules=True)
    assert not needed()
    change(store, next_at=None, paused_at=clock.now())
    assert not needed(with_schedules=True)


def test_one_of_many_takes_it(store: Store, clock: ManualClock) -> None:
    add(store, next_at=clock.now())
    row = get(store)

    def take() -> bool:
        def work(tx: Any) -> bool:
            if timetable.take_due(tx, row.id) is None:
                return False
            timetable.change(tx, row.id, next_at=tx.now + 60)
            return True

        return store.write(work)

    assert sum(in_parallel(*[take] * 8)) == 1
    assert not take()
