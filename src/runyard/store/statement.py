"""Statements that are compiled once and then cost no more than the driver's own call.

SQLAlchemy looks every statement up in a cache by a key made from the whole expression, converts
parameters and wraps rows; at a thousand jobs a second that costs more than the database. Values
here are of the driver's own types already, so nothing has to be converted.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, String, Table, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.types import NullType

from runyard.store.dialect import Dialect, Parameters

Binder = Callable[[Parameters], Any]
Value = TypeVar("Value")


class Session(Protocol):
    """What a statement runs on: a connection, and the driver's own cursor of it."""

    @property
    def conn(self) -> Connection: ...

    @property
    def cursor(self) -> Any: ...

    @property
    def now(self) -> float | None:
        """POSIX seconds; None if the database is to ask its own clock: see ``instant``."""

    @property
    def dialect(self) -> Dialect: ...


class Statement:
    """A query with named parameters, in the words of each database it has met."""

    def __init__(self, query: ClauseElement) -> None:
        self._query = query
        self._compiled: dict[str, tuple[str, Binder]] = {}
        self._row: Callable[[Any], Any] | None = None

    def rows(self, tx: Session, **parameters: Any) -> Sequence[Any]:
        """Run a query; all its rows, as named tuples."""
        sql, bind = self.compiled(tx)
        tx.cursor.execute(sql, bind(parameters))
        if self._row is None:
            names = [column[0] for column in tx.cursor.description]
            row: Any = namedtuple("Row", names)  # type: ignore[misc]  # known only at run time
            self._row = row._make
        return list(map(self._row, tx.cursor.fetchall()))

    def run(self, tx: Session, rows: Sequence[Parameters]) -> None:
        """Run a change once for each set of parameters, now."""
        if rows:
            tx.cursor.executemany(*self.calls(tx, rows))

    def calls(self, tx: Session, rows: Sequence[Parameters]) -> tuple[str, list[Any]]:
        """The SQL text, and the driver's parameters of each time it is to run."""
        sql, bind = self.compiled(tx)
        return sql, [bind(row) for row in rows]

    def compiled(self, tx: Session) -> tuple[str, Binder]:
        """The SQL text, and what makes the driver's parameters out of named ones."""
        name = tx.conn.dialect.name
        if name not in self._compiled:
            self._compiled[name] = self._compile(tx)
        return self._compiled[name]

    def _words(self, dialect: Dialect) -> ClauseElement:
        return self._query

    def _compile(self, tx: Session) -> tuple[str, Binder]:
        compiled = self._words(tx.dialect).compile(dialect=tx.conn.dialect)
        assert isinstance(compiled, SQLCompiler)
        constants = {
            key: value
            for key, value in compiled.params.items()
            if not compiled.binds[key].required and value is not None
        }
        if not compiled.positional:
            return str(compiled), lambda given: {**constants, **given}
        order = list(compiled.positiontup or ())
        pick = itemgetter(*order) if len(order) > 1 else lambda given: tuple(map(given.get, order))
        return str(compiled), lambda given: pick({**constants, **given})


class Insertion(Statement):
    """Adds rows to a table, given as the values of some of its columns: in one statement where
    that is cheaper."""

    def __init__(self, table: Table, columns: Sequence[str]) -> None:
        super().__init__(table)
        self._table, self._columns = table, columns

    def calls(self, tx: Session, rows: Sequence[Parameters]) -> tuple[str, list[Any]]:
        return super().calls(tx, tx.dialect.together(rows))

    def _words(self, dialect: Dialect) -> ClauseElement:
        return dialect.insertion(self._table, self._columns)


def kept(query: Select[Any], table: Table) -> Select[Any]:
    """The same query; what it finds of ``table`` cannot be deleted until the transaction ends. Any
    number may keep a row at once. SQLite, which has one writer, ignores it."""
    return query.with_for_update(read=True, key_share=True, of=table)


class instant(ColumnElement[float]):  # noqa: N801
    """The parameter ``now`` of a statement, or without one what the database's clock says."""

    inherit_cache = False

    def __init__(self) -> None:
        self.parameter = bindparam("now", type_=NullType())


@compiles(instant, "sqlite")
def _instant_sqlite(element: instant, compiler: SQLCompiler, **options: Any) -> str:
    now = compiler.process(element.parameter, **options)
    return f"coalesce({now}, (julianday('now') - 2440587.5) * 86400)"


@compiles(instant, "postgresql")
def _instant_postgresql(element: instant, compiler: SQLCompiler, **options: Any) -> str:
    now = compiler.process(element.parameter, **options)
    return f"coalesce({now}::float8, extract(epoch FROM clock_timestamp())::float8)"


class _Beside(ColumnElement[Value]):
    """A column beside a parameter that the driver passes on as it is."""

    inherit_cache = False

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.parameter = bindparam(name, type_=NullType())


class among(_Beside[bool]):  # noqa: N801 - reads as a function, as SQLAlchemy's own do
    """``column`` is one of the values of an array parameter, of any length in one statement.

    The parameter is what ``Dialect.array`` makes of a list of numbers or texts.
    """


@compiles(among, "sqlite")
def _among_sqlite(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, parameter = _parts(element, compiler, options)
    return f"{column} IN (SELECT value FROM json_each({parameter}))"


@compiles(among, "postgresql")
def _among_postgresql(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, parameter = _parts(element, compiler, options)
    kind = "text" if isinstance(element.column.type, String) else "bigint"
    return f"{column} = ANY({parameter}::{kind}[])"


class entry(_Beside[str]):  # noqa: N801
    """What a parameter, the text of a JSON object, says under the number that ``column`` holds."""


@compiles(entry, "sqlite")
def _entry_sqlite(element: entry, compiler: SQLCompiler, **options: Any) -> str:
    column, parameter = _parts(element, compiler, options)
    return f"(SELECT value FROM json_each({parameter}) WHERE key = CAST({column} AS TEXT))"


@compiles(entry, "postgresql")
def _entry_postgresql(element: entry, compiler: SQLCompiler, **options: Any) -> str:
    column, parameter = _parts(element, compiler, options)
    return f"({parameter}::json ->> {column}::text)"


def _parts(
    element: _Beside[Any], compiler: SQLCompiler, options: dict[str, Any]
) -> tuple[str, str]:
    column = compiler.process(element.column, **options)
    return column, compiler.process(element.parameter, **options)
