"""The differences between SQLite and PostgreSQL, and nothing else.

SQLite has one writer at a time, so its write lock (``BEGIN IMMEDIATE``) makes every transaction
serial and row locks needless. PostgreSQL locks rows, skips those that others hold, and asks its
own clock, since hosts disagree.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from enum import Enum
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from sqlalchemy import (
    Connection,
    Engine,
    FromClause,
    Join,
    Select,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

from runyard.errors import (
    InvalidRequest,
    RunyardError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
)

Row = Sequence[Any]
Write = tuple[str, list[Any]]  # a statement, and the parameters of each time it is to run


class Mode(Enum):
    """What a transaction is for."""

    READ = "read"
    WRITE = "write"  # on the disk before it counts as done
    RELAXED = "relaxed"  # may be lost when the host itself goes down: its work repeats itself


class Dialect(Protocol):
    """What the verbs need to say differently to each database."""

    def engine(self) -> Engine: ...

    def begin(self, cursor: Any, info: dict[Any, Any], mode: Mode) -> float:
        """Begin a transaction; returns the database's clock, in POSIX seconds. ``info`` lives as
        long as the connection."""
        ...

    def flush(self, cursor: Any, writes: Sequence[Write], *, commit: bool) -> None:
        """Run writes whose results nobody waits for, and maybe commit, in one go."""

    def array(self, values: Iterable[int] | Iterable[str]) -> Any:
        """Numbers or texts as one parameter, for ``statement.among``."""
        ...

    def lock(self, query: Select[Any]) -> Select[Any]:
        """Hold the rows that ``query`` reads of its first table until the transaction ends."""
        ...

    def lock_free(self, query: Select[Any]) -> Select[Any]:
        """The same, but pass over rows that another transaction holds."""
        ...

    def reserve(self, conn: Connection, table: Table, count: int) -> Sequence[int]:
        """``count`` growing values of the table's ``seq`` that nobody else will get."""
        ...

    def insert_many(
        self, conn: Connection, table: Table, columns: Sequence[str], rows: Iterable[Row]
    ) -> None:
        """Insert rows given as tuples, the fastest way the driver knows."""

    def insert_missing(self, conn: Connection, table: Table, values: dict[str, Any]) -> bool:
        """Insert a row unless a unique key refuses it; True if it was inserted."""
        ...

    def lock_schema(self, conn: Connection) -> None:
        """Let one process at a time change the schema, until the transaction ends."""

    def is_transient(self, error: DBAPIError) -> bool:
        """Whether the same transaction may succeed when it is tried again."""
        ...

    def translate(self, error: DBAPIError) -> RunyardError:
        """The error as a sentence for people: a ``StoreError``, unless what was asked is to
        blame."""
        ...


def dialect_for(url: str) -> Dialect:
    """The dialect of a database URL such as ``sqlite:///jobs.db`` or ``postgresql://host/db``."""
    try:
        backend = make_url(url).get_backend_name()
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise InvalidRequest(
            "the database URL has no form such as sqlite:///jobs.db or postgresql://host/db"
        ) from None
    if backend == "sqlite":
        return SQLite(url)
    if backend in ("postgresql", "postgres"):  # libpq takes both, and platforms hand out either
        return PostgreSQL(url)
    raise InvalidRequest(f"Runyard stores jobs in SQLite or PostgreSQL, not in {backend!r}")


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


def _first_table(query: Select[Any]) -> FromClause:
    """Of a join only the first table is to be locked; the outer side of one cannot even be."""
    source = query.get_final_froms()[0]
    while isinstance(source, Join):
        source = source.left
    return source


class PostgreSQL:
    """Many hosts, many writers, row locks."""

    # 40001 serialization failure, 40P01 deadlock, 55P03 lock not available,
    # 57P01-03 shutting down or starting, 08* connection trouble, 53300 too many connections.
    TRANSIENT = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300")

    def __init__(self, url: str) -> None:
        self.url = make_url(url).set(drivername="postgresql+psycopg")

    def engine(self) -> Engine:
        try:
            return create_engine(
                self.url,
                pool_size=10,  # kept: another one costs the server a process
                max_overflow=45,
                isolation_level="AUTOCOMMIT",  # we say BEGIN ourselves, with the first query
                connect_args={"connect_timeout": 10},
            )
        except ImportError as error:
            raise InvalidRequest(
                "PostgreSQL needs a driver: install it with pip install 'runyard[postgres]'"
            ) from error

    def begin(self, cursor: Any, info: dict[Any, Any], mode: Mode) -> float:
        # Writers lock rows and must see them as they are then; readers must see one moment.
        how = "ISOLATION LEVEL REPEATABLE READ READ ONLY" if mode is Mode.READ else ""
        # One round trip for both: without parameters the driver sends several statements.
        cursor.execute(f"BEGIN {how}; SELECT extract(epoch FROM clock_timestamp())::float8")
        cursor.nextset()
        return float(cursor.fetchone()[0])

    def flush(self, cursor: Any, writes: Sequence[Write], *, commit: bool) -> None:
        if not writes:
            if commit:
                cursor.execute("COMMIT")
            return
        # A pipeline: everything is sent before the first answer is waited for.
        with cursor.connection.pipeline():
            for sql, rows in writes:
                for row in rows:
                    cursor.execute(sql, row)
            if commit:
                cursor.execute("COMMIT")

    def array(self, values: Iterable[int] | Iterable[str]) -> list[Any]:
        return list(values)

    def lock(self, query: Select[Any]) -> Select[Any]:
        return query.with_for_update(of=_first_table(query))

    def lock_free(self, query: Select[Any]) -> Select[Any]:
        return query.with_for_update(skip_locked=True, of=_first_table(query))

    def reserve(self, conn: Connection, table: Table, count: int) -> Sequence[int]:
        return (
            conn.exec_driver_sql(
                f"SELECT nextval(pg_get_serial_sequence('{table.name}', 'seq'))"
                " FROM generate_series(1, %s)",
                (count,),
            )
            .scalars()
            .all()
        )

    def insert_many(
        self, conn: Connection, table: Table, columns: Sequence[str], rows: Iterable[Row]
    ) -> None:
        coming = iter(rows)
        first = list(islice(coming, 1))
        if not first:
            return  # to say so would be two round trips
        with closing(conn.connection.cursor()) as cursor:
            names = ", ".join(columns)
            with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
                for row in chain(first, coming):
                    copy.write_row(row)

    def insert_missing(self, conn: Connection, table: Table, values: dict[str, Any]) -> bool:
        from sqlalchemy.dialects import postgresql  # slow to import, and SQLite does without

        # Its rows tell, not its row count, which SQLAlchemy does not know for every INSERT.
        query = postgresql.insert(table).on_conflict_do_nothing().returning(*table.primary_key)
        return conn.execute(query, values).first() is not None

    def lock_schema(self, conn: Connection) -> None:
        conn.exec_driver_sql("SELECT pg_advisory_xact_lock(7305808769)")

    def is_transient(self, error: DBAPIError) -> bool:
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            return error.connection_invalidated or type(error.orig).__name__ == "OperationalError"
        return state in self.TRANSIENT or state.startswith("08")

    def translate(self, error: DBAPIError) -> RunyardError:
        said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else "no answer"
        place = self.url.render_as_string(hide_password=True)
        state = getattr(error.orig, "sqlstate", None)
        if state is None and "cannot contain NUL" in said:
            return InvalidRequest("a text holds a NUL character")
        if state == "53100":
            return StoreFull(f"no space left on the disk of {place}")
        if state in ("25006", "42501"):
            return StoreReadOnly(f"the database {place} may not be written: {said}")
        if state in ("XX001", "XX002"):
            return StoreCorrupt(f"the database {place} is damaged: {said}")
        if self.is_transient(error):
            return StoreBusy(f"the database {place} cannot be reached: {said}")
        return StoreError(f"the database {place} refused: {said}")
