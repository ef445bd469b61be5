"""Transactions: begin, try again when that can help, commit, and say clearly why not."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from runyard.clock import Clock
from runyard.errors import (
    InvalidRequest,
    OutcomeUnknown,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from runyard.store.dialect import Dialect, Mode, Parameters
from runyard.store.postgresql import PostgreSQL
from runyard.store.sqlite import SQLite
from runyard.store.statement import Statement

Result = TypeVar("Result")

_NO_CONNECTION = "every connection to the database is in use; try again when less is going on"


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


@dataclass(frozen=True, slots=True)
class Look:
    """A connection for one query. ``now`` is None unless the clock is not the database's own."""

    conn: Connection
    cursor: Any  # the driver's own, for ``Statement``
    now: float | None
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Tx:
    """An open transaction. ``now`` is read once, from the database's clock."""

    conn: Connection
    cursor: Any  # the driver's own, for ``Statement``
    now: float
    dialect: Dialect
    pending: dict[Statement, list[Parameters]] = field(default_factory=dict)

    def later(self, statement: Statement, rows: Sequence[Parameters]) -> None:
        """Run a change at the end, together with all others of its kind: for what nothing in this
        transaction reads."""
        if rows:
            self.pending.setdefault(statement, []).extend(rows)

    def flush(self, *, commit: bool = False) -> None:
        """Run now what was left for the end."""
        writes = [statement.calls(self, rows) for statement, rows in self.pending.items()]
        self.pending.clear()
        self.dialect.flush(self.cursor, writes, commit=commit)


class Store:
    """A database of jobs. Safe to share between threads; verbs get a ``Tx`` from it.

    ``clock`` replaces the database's own clock; tests move it.
    """

    RETRY_SECONDS = 60.0

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self.url = url
        self.dialect = dialect_for(url)
        self._clock = clock
        self._engine = self.dialect.engine()
        self._folder = _Folder(self)

    def write(
        self, work: Callable[[Tx], Result], *, relaxed: bool = False, repeatable: bool = False
    ) -> Result:
        """Run ``work`` in one transaction and commit it.

        It is tried again when the database was busy or went away before the commit was sent. An
        unanswered commit is repeated only if ``repeatable`` says that twice is as good as once,
        since nobody knows whether it took. ``relaxed`` gives up the wait for the disk where the
        database can: only for work that repeats itself when lost.
        """
        mode = Mode.RELAXED if relaxed else Mode.WRITE
        deadline = time.monotonic() + self.RETRY_SECONDS
        pause = 0.01
        while True:
            committing = False
            try:
                with self._transaction(mode) as tx:
                    result = work(tx)
                    committing = True
                    tx.flush(commit=True)
                    return result
            except PoolTimeout as error:
                raise StoreBusy(_NO_CONNECTION) from error
            except DBAPIError as error:
                out_of_time = time.monotonic() > deadline
                if committing and error.connection_invalidated and not repeatable:
                    raise OutcomeUnknown(
                        f"{self.dialect.translate(error)}; whether the change was saved is unknown"
                    ) from error
                if out_of_time or not self.dialect.is_transient(error):
                    raise self.dialect.translate(error) from error
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, 1.0)

    def write_together(self, work: Callable[[Tx], Result], *, repeatable: bool = False) -> Result:
        """As ``write``, but in one transaction with what other threads want to write meanwhile:
        together they wait for the disk once. Each for itself succeeds or fails."""
        return self._folder.write(work, repeatable)

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A consistent view; ends when the block does."""
        try:
            with self._transaction(Mode.READ) as tx:
                yield tx
                tx.flush(commit=True)
        except PoolTimeout as error:
            raise StoreBusy(_NO_CONNECTION) from error
        except DBAPIError as error:
            raise self.dialect.translate(error) from error

    def look(self, ask: Callable[[Look], Result]) -> Result:
        """What one query says: by itself it sees one moment, without a transaction around it that
        would be two more waits for PostgreSQL's answer."""
        try:
            return self._on_live(lambda: self._look(ask))
        except PoolTimeout as error:
            raise StoreBusy(_NO_CONNECTION) from error
        except DBAPIError as error:
            raise self.dialect.translate(error) from error

    @property
    def place(self) -> str:
        """Where the database is, fit to be shown: without a password."""
        return self._engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, mode: Mode) -> Iterator[Tx]:
        """A begun transaction; rolled back unless the block ends well, having committed."""
        tx = self._on_live(lambda: self._begin(mode))
        with tx.conn, self._known_errors(tx.conn):
            try:
                yield tx
            except BaseException:
                if not tx.conn.invalidated:
                    with suppress(Exception):  # the reason to roll back is the one to report
                        tx.cursor.execute("ROLLBACK")
                raise
            finally:
                with suppress(Exception):  # an interrupt may have closed its connection
                    tx.cursor.close()

    def _on_live(self, act: Callable[[], Result]) -> Result:
        """Do what changes nothing on a connection that answers. If one has died since it was last
        used, say because the server was started again, so have the others: use new ones, once."""
        try:
            return act()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        self._engine.dispose()
        return act()

    def _look(self, ask: Callable[[Look], Result]) -> Result:
        now = self._clock.now() if self._clock else None
        with (
            self._engine.connect() as conn,
            self._known_errors(conn),
            closing(conn.connection.cursor()) as cursor,
        ):
            return ask(Look(conn, cursor, now, self.dialect))

    def _begin(self, mode: Mode) -> Tx:
        conn = self._engine.connect()
        try:
            with self._known_errors(conn):
                cursor: Any = conn.connection.cursor()
                now = self.dialect.begin(cursor, conn.info, mode)
                return Tx(conn, cursor, self._clock.now() if self._clock else now, self.dialect)
        except BaseException:
            conn.close()
            raise

    @contextmanager
    def _known_errors(self, conn: Connection) -> Iterator[None]:
        """Give the driver's errors the form of those that come through SQLAlchemy."""
        dialect = conn.dialect
        base = dialect.loaded_dbapi.Error
        driver: Any = conn.connection.dbapi_connection
        try:
            yield
        except base as error:
            gone = dialect.is_disconnect(error, driver, None)
            # Not used again, gone or not: when PostgreSQL refuses one of several statements on
            # their way, the driver takes those behind it for prepared, and they are not.
            conn.invalidate(error)
            raise DBAPIError.instance("", None, error, base, connection_invalidated=gone) from error


class _Shared(Generic[Result]):
    """One of the works of a transaction that several share."""

    def __init__(self, work: Callable[[Tx], Result], repeatable: bool) -> None:
        self._work = work
        self._made: list[Result] = []
        self.is_repeatable = repeatable
        self.error: BaseException | None = StoreError("this process is about to end")

    def run(self, tx: Tx) -> None:
        """Do it; whether it was saved is not known yet."""
        self._made = [self._work(tx)]

    def result(self) -> Result:
        """What it returned. Raises what it raised, or why it was not saved."""
        if self.error is not None:
            raise self.error
        return self._made[0]


class _Folder:
    """Folds what several threads want to write at the same time into one transaction: whoever
    comes first does it for all that have come by the time the one before has committed."""

    MOST = 100  # in one transaction
    # No one of them is to blame, so that each alone would fare the same.
    OF_ALL = (OutcomeUnknown, StoreBusy, StoreFull, StoreReadOnly, StoreCorrupt)

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[_Shared[Any]] = deque()
        self._turn = threading.Lock()

    def write(self, work: Callable[[Tx], Result], repeatable: bool) -> Result:
        """The result of ``work``, once it is committed."""
        mine = _Shared(work, repeatable)
        self._waiting.append(mine)
        with self._turn:
            while mine in self._waiting:
                amount = min(self.MOST, len(self._waiting))
                self._write([self._waiting.popleft() for _ in range(amount)])
        return mine.result()

    def _write(self, some: Sequence[_Shared[Any]]) -> None:
        """In one transaction; or, if that is refused and nothing was saved, each in its own."""

        def work(tx: Tx) -> None:
            for one in some:
                one.run(tx)

        error: BaseException | None = None
        try:
            self._store.write(work, repeatable=all(one.is_repeatable for one in some))
        except self.OF_ALL as trouble:
            error = trouble
        except Exception as refusal:
            if len(some) > 1:
                for one in some:
                    self._write([one])
                return
            error = refusal
        for one in some:
            one.error = error
