"""Transactions: all or nothing, one moment, tried again when that can help."""

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import bindparam, func, select, text

from runyard.clock import ManualClock
from runyard.errors import InvalidRequest, StoreBusy, StoreError
from runyard.store import sqlite, views
from runyard.store.database import Store, Tx
from runyard.store.schema import groups, jobs
from runyard.store.statement import Statement
from tests.store.support import in_parallel, new, on_postgresql, submit


def count(tx: Tx) -> int:
    return tx.conn.execute(select(func.count()).select_from(jobs)).scalar_one()


def test_a_transaction_that_fails_changes_nothing(store: Store) -> None:
    (seq,) = submit(store, "unit")

    def fail(tx: Tx) -> None:
        tx.conn.execute(jobs.update().values(priority=9))
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        store.write(fail)
    with store.read() as tx:
        assert views.get(tx, seq).priority == 5


def test_a_read_sees_one_moment(store: Store) -> None:
    submit(store, "before")
    with store.read() as tx:
        assert count(tx) == 1
        submit(store, "meanwhile")
        assert count(tx) == 1
    with store.read() as tx:
        assert count(tx) == 2


def test_a_read_cannot_hold_up_a_write(store: Store) -> None:
    submit(store, "before")
    with store.read() as tx:
        count(tx)
        for n in range(5):
            submit(store, f"job {n}")


def test_the_clock_of_a_transaction_stands_still(store: Store, clock: ManualClock) -> None:
    with store.read() as tx:
        before = tx.now
        clock.advance(5)
        assert tx.now == before
    with store.read() as tx:
        assert tx.now == before + 5


def test_without_a_clock_of_its_own_the_store_asks_the_database(store_url: str) -> None:
    store = Store(store_url)
    before = time.time()
    with store.read() as tx:
        assert before - 1 <= tx.now <= time.time() + 1
    store.close()


def test_a_transaction_whose_last_write_fails_changes_nothing(store: Store) -> None:
    (seq,) = submit(store, "unit")
    impossible = Statement(jobs.update().values(priority=bindparam("to")))

    def work(tx: Tx) -> None:
        tx.conn.execute(jobs.update().values(priority=9))
        tx.later(impossible, [{"to": 8}, {"to": 11}, {"to": 7}])

    with pytest.raises(StoreError, match="refused"):
        store.write(work)
    with store.read() as tx:
        assert views.get(tx, seq).priority == 5
    submit(store, "the connection is as good as new")


def test_what_is_left_for_later_is_done_before_the_commit(store: Store) -> None:
    (seq,) = submit(store, "unit")
    change = Statement(jobs.update().values(priority=bindparam("to")))
    store.write(lambda tx: tx.later(change, [{"to": 8}, {"to": 9}]))
    with store.read() as tx:
        assert views.get(tx, seq).priority == 9


def test_a_row_that_is_there_already_is_refused_in_one_sentence(store: Store) -> None:
    submit(store, new("first", id="same"))
    with pytest.raises(StoreError, match=r"^the database .* refused: [^\n]*$"):
        submit(store, new("second", id="same"))


def test_many_threads_may_share_a_store(store: Store) -> None:
    in_parallel(*[lambda: submit(store, *("unit" for _ in range(5)))] * 24)
    with store.read() as tx:
        assert count(tx) == 24 * 5


def test_many_may_read_at_once(store: Store) -> None:
    together = threading.Barrier(40)

    def read() -> None:
        with store.read() as tx:
            count(tx)
            together.wait(20)

    in_parallel(*[read] * 40)


@on_postgresql
def test_more_connections_than_there_may_be_are_an_error_of_ours(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store._engine.pool, "_timeout", 0.05)
    with ExitStack() as held:
        for _ in range(55):
            held.enter_context(store.read())
        with pytest.raises(StoreBusy, match="every connection"):
            held.enter_context(store.read())
        with pytest.raises(StoreBusy, match="every connection"):
            store.write(count)


@on_postgresql
def test_a_transaction_given_up_in_a_deadlock_is_tried_again(store: Store) -> None:
    first, second = submit(store, "a", "b")
    each_holds_one = threading.Barrier(2)
    tries: list[int] = []

    def lock(one: int, other: int) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            tries.append(one)
            tx.conn.execute(jobs.update().where(jobs.c.seq == one).values(priority=1))
            if tries.count(one) == 1:
                each_holds_one.wait(20)
            tx.conn.execute(jobs.update().where(jobs.c.seq == other).values(priority=1))

        return work

    in_parallel(
        lambda: store.write(lock(first, second)),
        lambda: store.write(lock(second, first)),
    )
    assert len(tries) >= 3  # the second try may meet the other one, too


@on_postgresql
def test_a_deadlock_met_while_rows_are_copied_in_is_tried_again_too(store: Store) -> None:
    each_has_one = threading.Barrier(2)
    tries: list[str] = []

    def insert(one: str, other: str) -> Callable[[Tx], None]:
        def work(tx: Tx) -> None:
            tries.append(one)
            copy_in(tx, one)
            if tries.count(one) == 1:
                each_has_one.wait(20)
            copy_in(tx, other)
            raise Undone

        return work

    def attempt(one: str, other: str) -> None:
        with pytest.raises(Undone):
            store.write(insert(one, other))

    in_parallel(lambda: attempt("a", "b"), lambda: attempt("b", "a"))
    assert len(tries) >= 3  # the second try may meet the other one, too


class Undone(Exception):
    """Rolls a transaction back."""


def copy_in(tx: Tx, name: str) -> None:
    values = {"pool": "", "org_id": name, "target": "t", "app_version_id": ""}
    tx.dialect.insert_many(tx.conn, groups, list(values), [tuple(values.values())])


@on_postgresql
def test_nul_is_the_fault_of_who_asks(store: Store) -> None:
    query = select(jobs.c.id).where(jobs.c.id == "a\0b")
    with pytest.raises(InvalidRequest, match="NUL"), store.read() as tx:
        tx.conn.execute(query)
    with pytest.raises(InvalidRequest, match="NUL"):
        store.write(lambda tx: tx.conn.execute(query))


def test_a_file_whose_journal_another_changes_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite refuses at once whoever wants to change the journal of a file that another writes."""
    was_refused = threading.Event()

    def pause(*_: float) -> float:
        was_refused.set()
        return 0.001

    monkeypatch.setattr(sqlite.random, "uniform", pause)
    path = tmp_path / "new.db"
    store = Store(f"sqlite:///{path}")

    def read() -> object:
        with store.read() as tx:
            return tx.conn.execute(text("SELECT x FROM t")).all()

    with closing(sqlite3.connect(path, isolation_level=None)) as other, ThreadPoolExecutor() as one:
        other.execute("CREATE TABLE t (x)")
        other.execute("BEGIN IMMEDIATE")
        opened = one.submit(read)
        assert was_refused.wait(30)
        other.execute("COMMIT")
        assert opened.result() == []
    store.close()


def test_a_new_file_is_its_owners(tmp_path: Path) -> None:
    """Wherever it lies, and with all that SQLite puts beside it; an old one stays as it is."""
    tmp_path.chmod(0o755)
    for _ in range(2):
        store = Store(f"sqlite:///{tmp_path}/new.db")
        store.write(lambda tx: tx.conn.execute(text("CREATE TABLE IF NOT EXISTS t (x)")))
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        store.close()
    (tmp_path / "new.db").chmod(0o640)
    Store(f"sqlite:///{tmp_path}/new.db").close()
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o640
