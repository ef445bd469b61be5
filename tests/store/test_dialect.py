"""What a database refuses, said in one sentence and with the right class."""

from __future__ import annotations

import os
import resource
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import event, func, make_url, select, text

from runyard.clock import ManualClock
from runyard.errors import (
    InvalidRequest,
    OutcomeUnknown,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from runyard.store.database import Store, Tx, dialect_for
from runyard.store.schema import jobs
from runyard.store.sqlite import SQLite
from runyard.store.statement import Statement, instant
from runyard.store.upgrade import upgrade
from tests.store.support import (
    claim,
    end_connections,
    in_processes,
    names,
    new,
    on_postgresql,
    submit,
)

NOBODY = 65534


def is_one_sentence(error: BaseException) -> bool:
    """Fit for a user: one line, no SQL, no traceback, no name of a Python class."""
    said = str(error)
    technical = ("\n", "SELECT", "INSERT", "[SQL", "sqlalche", "sqlite3.", "psycopg.", "Traceback")
    return bool(said) and not any(word in said for word in technical)


# Addresses


def test_two_databases_are_known_by_their_urls() -> None:
    assert type(dialect_for("sqlite:///jobs.db")).__name__ == "SQLite"
    assert type(dialect_for("postgresql://host/db")).__name__ == "PostgreSQL"
    assert type(dialect_for("postgres://host/db")).__name__ == "PostgreSQL"


def test_a_driver_in_the_url_makes_no_difference() -> None:
    for url in ("sqlite+aiosqlite:///jobs.db", "postgresql+asyncpg://host/db"):
        assert dialect_for(url).engine().driver in {"pysqlite", "psycopg"}
    assert not Path("jobs.db").exists()  # nobody has connected


@pytest.mark.parametrize("url", ["mysql://user:secret@host/db", "oracle://host", "redis://host"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="SQLite or PostgreSQL, not in") as caught:
        dialect_for(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "nonsense", "postgresql://user:secret@host:port/db"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match=r"such as sqlite:///") as caught:
        dialect_for(url)
    assert "secret" not in str(caught.value)
    assert is_one_sentence(caught.value)


def test_a_missing_driver_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidRequest, match=r"runyard\[postgres\]"):
        Store("postgresql://host/db")


def test_a_password_is_not_shown() -> None:
    assert "secret" not in Store("postgresql://user:secret@host/db").place


# SQLite: files


@pytest.fixture
def file(sqlite_template: Path, tmp_path: Path) -> Path:
    """An upgraded, empty SQLite database."""
    path = tmp_path / "runyard.db"
    shutil.copy(sqlite_template, path)
    return path


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{path}")
    try:
        yield store
    finally:
        store.close()


@contextmanager
def refused(expected: type[StoreError], path: Path) -> Iterator[None]:
    with pytest.raises(expected) as caught:
        yield
    assert type(caught.value) is expected
    assert str(path) in str(caught.value)
    assert is_one_sentence(caught.value), caught.value


def test_a_directory_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "no" / "such" / "runyard.db"
    with opened(path) as store, refused(StoreReadOnly, path):
        upgrade(store)


def test_a_directory_in_the_place_of_the_file(tmp_path: Path) -> None:
    with opened(tmp_path) as store, refused(StoreReadOnly, tmp_path):
        upgrade(store)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Milk, bread, butter. " * 100)
    with opened(path) as store, refused(StoreCorrupt, path):
        upgrade(store)
    assert path.read_text().startswith("Milk"), "nobody's file is overwritten"


def test_a_damaged_file(file: Path) -> None:
    with opened(file) as store:
        submit(store, *(f"job {n}" for n in range(500)))
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\x5a" * (len(whole) - 4096))
    with opened(file) as store, refused(StoreCorrupt, file):
        submit(store, "one more")


def test_a_truncated_file(file: Path) -> None:
    with opened(file) as store:
        submit(store, *(f"job {n}" for n in range(500)))
    os.truncate(file, file.stat().st_size // 2)
    with opened(file) as store, refused(StoreCorrupt, file):
        submit(store, *(f"job {n}" for n in range(500)))


def test_an_empty_file_is_an_empty_database(tmp_path: Path) -> None:
    path = tmp_path / "runyard.db"
    path.touch()
    with opened(path) as store:
        assert upgrade(store)


def test_a_full_disk_loses_nothing_that_was_saved(file: Path) -> None:
    with opened(file) as store:
        pages = 200
        event.listen(
            store._engine,
            "connect",
            lambda connection, _: connection.execute(f"PRAGMA max_page_count = {pages}"),
        )
        submit(store, "saved")
        with refused(StoreFull, file):
            submit(store, *(f"job {n}" for n in range(5000)))
        assert names(claim(store, 10)) == ["saved"]
    with opened(file) as store:
        submit(store, "saved after somebody made room")
        assert names(claim(store, 10)) == ["saved after somebody made room"]


def outgrow(path: str) -> tuple[str, str]:
    """Fill a database until the operating system refuses to let its files grow."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, unlimited[1]))
    with opened(Path(path)) as store:
        submit(store, "saved")
        try:
            submit(store, *(f"job {n}" for n in range(5000)))
        except StoreError as error:
            return str(error), ", ".join(names(claim(store, 10)))
    raise AssertionError("the limit had no effect")


def test_a_file_that_may_not_grow(file: Path) -> None:
    ((said, left),) = in_processes(outgrow, (str(file),))
    assert said.startswith(f"the database {file} ")
    assert left == "saved"


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Root may write everything: be nobody, who may look at ``folder``, for a while."""
    if os.geteuid() != 0:
        yield
        return
    folder.chmod(folder.stat().st_mode | stat.S_IRGRP | stat.S_IROTH | stat.S_IXGRP | stat.S_IXOTH)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.mark.parametrize("protected", ["file", "directory"])
def test_a_place_that_may_only_be_read(sqlite_template: Path, protected: str) -> None:
    # Not in tmp_path, which only its owner may enter.
    with tempfile.TemporaryDirectory() as place:
        folder, path = Path(place), Path(place) / "runyard.db"
        shutil.copy(sqlite_template, path)
        path.chmod(0o444 if protected == "file" else 0o666)
        folder.chmod(0o777 if protected == "file" else 0o555)
        with unprivileged(folder):
            with opened(path) as store, refused(StoreReadOnly, path):
                submit(store, "unit")
            if protected == "file":  # without new files beside it, SQLite cannot even read
                with opened(path) as store:
                    assert upgrade(store) is False


def test_a_place_where_nothing_may_be_created() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, path = Path(place), Path(place) / "runyard.db"
        folder.chmod(0o555)
        with unprivileged(folder), opened(path) as store, refused(StoreReadOnly, path):
            upgrade(store)


def test_a_writer_that_does_not_end(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SQLite, "BUSY_SECONDS", 0.05)
    monkeypatch.setattr(Store, "RETRY_SECONDS", 0.0)
    writing, enough = threading.Event(), threading.Event()

    def write_long(_: Tx) -> None:
        writing.set()
        enough.wait(30)

    with opened(file) as store:
        writer = threading.Thread(target=store.write, args=(write_long,))
        writer.start()
        assert writing.wait(30)
        with refused(StoreBusy, file):
            submit(store, "unit")
        enough.set()
        writer.join()
        submit(store, "unit")


@pytest.mark.parametrize("name", ["100% sure?", "a#b&c=d", "Prüfstand 🚂", "%41", "a///b"])
def test_a_place_with_an_odd_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "runyard.db"
    path.parent.mkdir(parents=True)
    store = Store(f"sqlite:///{quote(str(path))}")
    assert upgrade(store)
    store.close()
    assert path.exists()


# PostgreSQL


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a database that will not come back."""
    monkeypatch.setattr(Store, "RETRY_SECONDS", 0.0)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize(
    "url",
    ["postgresql://user:secret@127.0.0.1:1/db", "postgresql://user:secret@host.invalid/db"],
)
def test_a_server_that_cannot_be_reached(url: str) -> None:
    store = Store(url)
    with pytest.raises(StoreBusy, match="cannot be reached") as caught:
        submit(store, "unit")
    assert "secret" not in str(caught.value)
    assert is_one_sentence(caught.value)


@on_postgresql
@pytest.mark.usefixtures("brief")
def test_a_database_that_does_not_exist(store_url: str) -> None:
    other = make_url(store_url).set(database="no_such_database").render_as_string(False)
    with pytest.raises(StoreError, match="no_such_database") as caught:
        upgrade(Store(other))
    assert is_one_sentence(caught.value)


@on_postgresql
@pytest.mark.usefixtures("brief")
def test_a_database_that_may_only_be_read(store_url: str) -> None:
    url = make_url(store_url).update_query_dict({"options": "-c default_transaction_read_only=on"})
    store = Store(url.render_as_string(False))
    with pytest.raises(StoreReadOnly) as caught:
        submit(store, "unit")
    assert is_one_sentence(caught.value)
    store.close()


@on_postgresql
def test_a_connection_that_died_while_unused_is_replaced(store: Store) -> None:
    submit(store, "before")
    end_connections(store.url)
    submit(store, "after")
    assert names(claim(store, 5)) == ["before", "after"]


@on_postgresql
def test_a_read_survives_a_connection_that_died_while_unused(store: Store) -> None:
    submit(store, "before")
    end_connections(store.url)
    with store.read() as tx:
        assert tx.conn.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 1


@on_postgresql
def test_a_look_survives_a_connection_that_died_while_unused(store: Store) -> None:
    submit(store, "before")
    end_connections(store.url)
    assert [row.amount for row in store.look(_AMOUNT.rows)] == [1]


_AMOUNT = Statement(select(func.count().label("amount")).select_from(jobs))


def test_a_look_asks_the_clock_of_the_database_unless_there_is_another(
    store: Store, clock: ManualClock, store_url: str
) -> None:
    def now(store: Store) -> float:
        query = Statement(select(instant().label("now")))
        return float(store.look(lambda look: query.rows(look, now=look.now))[0].now)

    assert now(store) == clock.now()
    usual = Store(store_url)
    assert now(usual) == pytest.approx(time.time(), abs=5)
    usual.close()


def test_a_write_that_was_refused_at_its_end_harms_none_after_it(store: Store) -> None:
    first = new("first")
    submit(store, first)
    for number in range(12):  # the driver prepares what it has seen some times
        with pytest.raises(StoreError):
            submit(store, new("twice", id=first.id))
        submit(store, f"job-{number}")


@on_postgresql
def test_a_transaction_whose_connection_dies_is_tried_again(store: Store) -> None:
    tries = []

    def work(tx: Tx) -> None:
        tries.append(1)
        tx.conn.execute(text("UPDATE jobs SET priority = 1"))
        if len(tries) == 1:
            end_connections(store.url)
        tx.conn.execute(text("UPDATE jobs SET priority = 2"))

    store.write(work)
    assert len(tries) == 2


@on_postgresql
def test_a_commit_without_an_answer_is_not_repeated(store: Store) -> None:
    tries = []

    def work(tx: Tx) -> None:
        tries.append(1)
        tx.conn.execute(text("UPDATE jobs SET priority = 1"))
        end_connections(store.url)

    with pytest.raises(OutcomeUnknown, match="whether the change was saved is unknown") as caught:
        store.write(work)
    assert len(tries) == 1
    assert is_one_sentence(caught.value)


@on_postgresql
def test_a_commit_without_an_answer_is_repeated_where_that_does_no_harm(store: Store) -> None:
    tries = []

    def work(tx: Tx) -> int:
        tries.append(1)
        tx.conn.execute(text("UPDATE jobs SET priority = 1"))
        if len(tries) == 1:
            end_connections(store.url)
        return len(tries)

    assert store.write(work, repeatable=True) == 2
