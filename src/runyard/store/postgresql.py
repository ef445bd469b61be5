"""PostgreSQL: rows are locked, those that others hold are passed over, and the server's clock is
asked, since hosts disagree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import chain, islice
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    FromClause,
    Insert,
    Join,
    Select,
    Table,
    bindparam,
    column,
    create_engine,
    func,
    insert,
    make_url,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import NullType

from runyard.errors import (
    InvalidRequest,
    RunyardError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
)
from runyard.store.dialect import Mode, Parameters, Row, Write


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
        # What repeats itself is planned once: for each array PostgreSQL would do so anew, which
        # takes longer than to look a few rows up by their keys.
        plan = "SET LOCAL plan_cache_mode = force_generic_plan;" if mode is Mode.RELAXED else ""
        clock = "SELECT extract(epoch FROM clock_timestamp())::float8"
        # One round trip for all: without parameters the driver sends several statements.
        cursor.execute(f"BEGIN {how}; {plan} {clock}")
        while cursor.nextset():
            pass
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

    def insertion(self, table: Table, columns: Sequence[str]) -> Insert:
        rows = func.json_to_recordset(bindparam("rows", type_=NullType()))
        new = rows.table_valued(*(column(name, table.c[name].type) for name in columns))
        return insert(table).from_select(columns, select(new.render_derived(with_types=True)))

    def together(self, rows: Sequence[Parameters]) -> Sequence[Parameters]:
        # To hand over a statement costs more than a row does: all rows go in one.
        return [{"rows": json.dumps(rows)}]

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


def _first_table(query: Select[Any]) -> FromClause:
    """Of a join only the first table is to be locked; the outer side of one cannot even be."""
    source = query.get_final_froms()[0]
    while isinstance(source, Join):
        source = source.left
    return source
