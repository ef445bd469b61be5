"""SQLite: one writer at a time, whose lock (``BEGIN IMMEDIATE``) makes every transaction serial and
row locks needless."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sqlalchemy import (
    Connection,
    Engine,
    Insert,
    Select,
    Table,
    bindparam,
    create_engine,
    event,
    insert,
    make_url,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from runyard.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreReadOnly
from runyard.store.dialect import Mode, Parameters, Row, Write


class SQLite:
    """One file, one writer at a time, any number of readers (WAL)."""

    BUSY_SECONDS = 60.0
    CHUNK = 5_000  # rows handed to the driver at once; bounds the memory of a large batch

    def __init__(self, url: str) -> None:
        path, _, _ = url.partition("///")[2].partition("?")
        # Some versions of SQLAlchemy decode it themselves, and some do not.
        self.url = make_url(url).set(drivername="sqlite", database=unquote(path))
        self.path = Path(self.url.database or ":memory:")

    def engine(self) -> Engine:
        engine = create_engine(
            self.url,
            poolclass=QueuePool,
            max_overflow=-1,  # a file may be opened as often as there are threads
            isolation_level="AUTOCOMMIT",  # we say BEGIN ourselves, to say IMMEDIATE
            connect_args={"timeout": self.BUSY_SECONDS},
        )
        event.listen(engine, "do_connect", self._create)
        event.listen(engine, "connect", self._prepare)
        return engine

    def _create(self, *_: object) -> None:
        """For its owner only, who may let others in: it holds the environments of jobs, and a
        directory that was there before may be open to all. SQLite's other files follow it."""
        if self.url.database in (None, "", ":memory:"):
            return
        with contextlib.suppress(OSError):  # there already; or else opening it says why not
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))

    @classmethod
    def _prepare(cls, connection: Any, _record: object) -> None:
        cls._write_ahead(connection)
        for setting in (
            "foreign_keys = ON",
            "cache_size = -65536",  # KiB: random job ids touch many index pages in a large batch
            "temp_store = MEMORY",
            "wal_autocheckpoint = 4000",
        ):
            connection.execute(f"PRAGMA {setting}")

    @classmethod
    def _write_ahead(cls, connection: Any) -> None:
        """Whoever comes to a new file while another is changing its journal is refused at once,
        however long they would wait: SQLite cannot tell that from two who wait for each other."""
        deadline = time.monotonic() + cls.BUSY_SECONDS
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.001, 0.02))

    def begin(self, cursor: Any, info: dict[Any, Any], mode: Mode) -> float:
        if mode is Mode.READ:
            cursor.execute("BEGIN")
        else:
            self._synchronise(cursor, info, "NORMAL" if mode is Mode.RELAXED else "FULL")
            cursor.execute("BEGIN IMMEDIATE")
        return time.time()  # the database lives on this host: its clock is ours

    @staticmethod
    def _synchronise(cursor: Any, info: dict[Any, Any], level: str) -> None:
        """A submit is acknowledged to its user, so it is on the disk before that (FULL). A claim
        or finish that a power cut takes back only makes its job run again (NORMAL). A crash of
        Runyard alone takes nothing back in either mode."""
        if info.get("synchronous") != level:
            cursor.execute(f"PRAGMA synchronous = {level}")
            info["synchronous"] = level

    def flush(self, cursor: Any, writes: Sequence[Write], *, commit: bool) -> None:
        for sql, rows in writes:
            cursor.executemany(sql, rows)
        if commit:
            cursor.execute("COMMIT")

    def insertion(self, table: Table, columns: Sequence[str]) -> Insert:
        return insert(table).inline().values({name: bindparam(name) for name in columns})

    def together(self, rows: Sequence[Parameters]) -> Sequence[Parameters]:
        return rows  # a statement costs next to nothing here

    def array(self, values: Iterable[int] | Iterable[str]) -> str:
        return json.dumps(list(values))

    def lock(self, query: Select[Any]) -> Select[Any]:
        return query

    def lock_free(self, query: Select[Any]) -> Select[Any]:
        return query

    def reserve(self, conn: Connection, table: Table, count: int) -> Sequence[int]:
        # The highest number ever given: the rows' own maximum falls when the newest are pruned, and
        # rises only when they are inserted.
        query = "SELECT seq FROM sqlite_sequence WHERE name = ?"
        last = conn.exec_driver_sql(query, (table.name,)).scalar()
        if last is None:
            last = 0
            change = "INSERT INTO sqlite_sequence (seq, name) VALUES (?, ?)"
        else:
            change = "UPDATE sqlite_sequence SET seq = ? WHERE name = ?"
        conn.exec_driver_sql(change, (last + count, table.name))
        return range(last + 1, last + 1 + count)

    def insert_many(
        self, conn: Connection, table: Table, columns: Sequence[str], rows: Iterable[Row]
    ) -> None:
        marks = ", ".join("?" * len(columns))
        query = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({marks})"
        rows = iter(rows)
        while chunk := list(islice(rows, self.CHUNK)):
            conn.exec_driver_sql(query, chunk)

    def insert_missing(self, conn: Connection, table: Table, values: dict[str, Any]) -> bool:
        from sqlalchemy.dialects import sqlite

        return bool(conn.execute(sqlite.insert(table).on_conflict_do_nothing(), values).rowcount)

    def lock_schema(self, conn: Connection) -> None:
        pass  # BEGIN IMMEDIATE did

    def is_transient(self, error: DBAPIError) -> bool:
        return self._code(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_SCHEMA"))

    @staticmethod
    def _code(error: DBAPIError) -> str:
        return getattr(error.orig, "sqlite_errorname", None) or ""

    def translate(self, error: DBAPIError) -> StoreError:
        said = str(error.orig)
        code = self._code(error)  # not the text, in which a constraint's name may say "blocked"
        if code.startswith("SQLITE_FULL"):
            return StoreFull(f"no space left on the disk of {self.path}; free some and try again")
        if code.startswith("SQLITE_READONLY"):
            return StoreReadOnly(f"the database {self.path} may not be written")
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return StoreCorrupt(
                f"the database {self.path} is damaged ({said}); "
                "restore a copy, or move it away to begin anew"
            )
        if code.startswith("SQLITE_CANTOPEN"):
            return StoreReadOnly(f"the database {self.path} cannot be opened or created")
        if self.is_transient(error):
            return StoreBusy(f"the database {self.path} stayed busy for {self.BUSY_SECONDS:.0f} s")
        return StoreError(f"the database {self.path} refused: {said}")
