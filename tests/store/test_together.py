"""Writes of several threads in one transaction: each for itself succeeds or fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from runyard.errors import Conflict, OutcomeUnknown, StoreError
from runyard.store import submit as submits
from runyard.store.database import Store, Tx
from runyard.store.once import IdempotencyKey
from tests.store.support import end_connections, new, on_postgresql, submit
from tests.support.processes import eventually


def together(store: Store, *works: Callable[[Tx], Any]) -> list[Future[Any]]:
    """Run works that all come while another write is under way."""
    is_open, go_on = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        is_open.set()
        assert go_on.wait(30)

    with ThreadPoolExecutor(len(works) + 1) as threads:
        first = threads.submit(store.write_together, hold)
        assert is_open.wait(30)
        made = [threads.submit(store.write_together, work) for work in works]
        eventually(lambda: len(store._folder._waiting) == len(works))
        go_on.set()
        first.result()
    return made


def save(name: str, transactions: list[int]) -> Callable[[Tx], str]:
    def work(tx: Tx) -> str:
        transactions.append(id(tx))
        job = new(name)
        submits.submit(tx, [job])
        return job.id

    return work


def saved(store: Store) -> set[str]:
    with store.read() as tx:
        return set(tx.conn.execute(text("SELECT name FROM job_specs")).scalars())


def test_what_comes_together_is_committed_together(store: Store) -> None:
    transactions: list[int] = []
    made = together(store, *(save(f"job-{n}", transactions) for n in range(8)))
    assert len({future.result() for future in made}) == 8
    assert len(set(transactions)) == 1
    assert saved(store) == {f"job-{n}" for n in range(8)}


def test_one_that_is_refused_leaves_nothing_and_harms_nobody(store: Store) -> None:
    def refused(tx: Tx) -> None:
        submits.submit(tx, [new("refused")])
        raise Conflict("no")

    good, bad, other = together(store, save("one", []), refused, save("two", []))
    good.result()
    other.result()
    with pytest.raises(Conflict, match="no"):
        bad.result()
    assert saved(store) == {"one", "two"}


@pytest.mark.parametrize("statement", ["SELECT nonsense", "INSERT INTO limits VALUES ('x','y',1)"])
def test_one_that_breaks_the_transaction_fails_alone(store: Store, statement: str) -> None:
    def broken(tx: Tx) -> None:
        tx.conn.execute(text(statement))

    good, bad, other = together(store, save("one", []), broken, save("two", []))
    good.result()
    other.result()
    with pytest.raises(StoreError):
        bad.result()
    assert saved(store) == {"one", "two"}


def test_one_whose_rows_are_refused_with_the_commit_fails_alone(store: Store) -> None:
    made = new("same")

    def taken(tx: Tx) -> None:
        submits.submit(tx, [new("twice", id=made.id)])

    store.write(lambda tx: submits.submit(tx, [made]))
    good, bad, other = together(store, save("one", []), taken, save("two", []))
    good.result()
    other.result()
    with pytest.raises(StoreError):
        bad.result()
    assert saved(store) == {"same", "one", "two"}


def test_two_with_the_same_key_save_one_job(store: Store) -> None:
    first, second = new("once"), new("once")
    key = IdempotencyKey("default", "k", "digest")
    made = together(
        store,
        lambda tx: submits.submit(tx, [first], key=key),
        lambda tx: submits.submit(tx, [second], key=key),
    )
    kept = {future.result() for future in made}
    assert None in kept
    assert kept & {first.id, second.id}
    with store.read() as tx:
        assert tx.conn.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 1


@on_postgresql
def test_without_an_answer_to_the_commit_none_is_tried_again(store: Store) -> None:
    tries = []

    def work(tx: Tx) -> None:
        tries.append(1)
        tx.conn.execute(text("UPDATE jobs SET priority = 1"))
        if len(tries) == 2:
            end_connections(store.url)

    for future in together(store, work, work):
        with pytest.raises(OutcomeUnknown):
            future.result()
    assert len(tries) == 2


def test_a_fault_of_ours_fails_alone(store: Store) -> None:
    def faulty(tx: Tx) -> None:
        raise KeyError("a bug")

    bad, good = together(store, faulty, save("one", []))
    good.result()
    with pytest.raises(KeyError):
        bad.result()
    assert saved(store) == {"one"}


def test_alone_it_is_an_ordinary_write(store: Store) -> None:
    store.write_together(save("one", []))
    with pytest.raises(Conflict):
        store.write_together(lambda tx: (_ for _ in ()).throw(Conflict("no")))
    submit(store, "two")
    assert saved(store) == {"one", "two"}
