"""What the verbs need to say differently to each database: see ``sqlite`` and ``postgresql``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Insert, Select, Table
from sqlalchemy.exc import DBAPIError

from runyard.errors import RunyardError

Row = Sequence[Any]
Parameters = Mapping[str, Any]  # of a statement, by their names
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

    def insertion(self, table: Table, columns: Sequence[str]) -> Insert:
        """Adds rows given as what ``together`` makes of them."""
        ...

    def together(self, rows: Sequence[Parameters]) -> Sequence[Parameters]:
        """The parameters of each time that ``insertion`` is to run, to add these rows."""
        ...

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
