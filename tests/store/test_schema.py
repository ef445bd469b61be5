"""The tables refuse rows that cannot be, whoever writes them."""

from __future__ import annotations

from typing import Any

import pytest

from runyard.errors import StoreError
from runyard.store.database import Store
from runyard.store.schema import attempts, batches, jobs
from tests.store.support import claim, row, run_next, submit


def change(store: Store, table: Any, **values: Any) -> None:
    store.write(lambda tx: tx.conn.execute(table.update().values(**values)))


@pytest.mark.parametrize(
    "values",
    [
        {"state": "lost"},
        {"state": "running"},
        {"state": "passed"},
        {"state": "failed", "finished_at": 1.0},
        {"state": "failed", "finished_at": 1.0, "reason": "bad luck"},
        {"state": "blocked"},
        {"state": "delayed"},
        {"finished_at": 1.0},
        {"reason": "timeout"},
        {"worker": "w1"},
        {"lease_until": 1.0},
        {"claimed_at": 1.0},
        {"waiting_on": 1},
        {"waiting_on": -1},
        {"fence": -1},
        {"failures": -1},
        {"priority": 11},
        {"queue_id": 4711},
        {"batch_seq": 4711},
        {"state": None},
    ],
    ids=str,
)
def test_a_queued_job_cannot_become(store: Store, values: dict[str, Any]) -> None:
    (seq,) = submit(store, "unit")
    before = row(store, seq)
    with pytest.raises(StoreError, match="refused"):
        change(store, jobs, **values)
    assert row(store, seq) == before


@pytest.mark.parametrize(
    "values",
    [{"worker": None}, {"lease_until": None}, {"claimed_at": None}, {"state": "queued"}],
    ids=str,
)
def test_a_running_job_cannot_become(store: Store, values: dict[str, Any]) -> None:
    submit(store, "unit")
    claim(store)
    with pytest.raises(StoreError, match="refused"):
        change(store, jobs, **values)


@pytest.mark.parametrize(
    "values",
    [{"passed": -1}, {"passed": 1}, {"failed": 1}, {"finished_at": 1.0}, {"total": 0}],
    ids=str,
)
def test_a_batch_with_a_waiting_job_cannot_become(store: Store, values: dict[str, Any]) -> None:
    submit(store, "unit", batch="b-1")
    with pytest.raises(StoreError, match="refused"):
        change(store, batches, **values)


@pytest.mark.parametrize("state", ["running", "queued"])
def test_an_attempt_on_record_cannot_be(store: Store, state: str) -> None:
    submit(store, "unit")
    run_next(store)
    with pytest.raises(StoreError, match="refused"):
        change(store, attempts, state=state)
