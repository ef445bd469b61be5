"""What all benchmarks share: rounds, medians, fresh databases, and the table at the end.

Machines differ and are never quiet, so every figure stands beside a peer that is measured in
turn with it: A B A B … The median of the rounds counts.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

from tests.support.postgres import PostgresKeeper, database

from runyard.config import Settings

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
DATABASES = (SQLITE, POSTGRESQL)
PICTURE = Path("build/affinity.svg")  # of the timelines of devices
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One result. ``floor`` is the worst value that will do, None if the figure only informs;
    ``beside`` says in words what it was measured against."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    aim: float | None = None
    less_is_better: bool = False
    beside: str = ""

    @property
    def is_below_floor(self) -> bool:
        """Whether the value is worse than its floor."""
        if self.floor is None:
            return False
        return self.value > self.floor if self.less_is_better else self.value < self.floor

    @property
    def verdict(self) -> str:
        """The last column of the table."""
        if self.floor is None:
            return ""
        return "BELOW FLOOR" if self.is_below_floor else "ok"


@dataclass(frozen=True, slots=True)
class Place:
    """An empty home and an empty database for one round."""

    home: Path
    url: str

    @property
    def settings(self) -> Settings:
        """The settings that lead here."""
        return Settings.load(self.home, self.url, {})

    @property
    def environment(self) -> dict[str, str]:
        """The environment for a process that shall work here."""
        return self.settings.environment()


@dataclass(slots=True)
class Bench:
    """One call of the benchmarks: how large they are, and the servers they use."""

    quick: bool = False
    peers: bool = False
    picture: Path = PICTURE
    _stack: ExitStack = field(default_factory=ExitStack)
    _homes: Path | None = None
    _postgres: PostgresKeeper | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def size(self, full: int, quick: int) -> int:
        """A number of jobs or rounds, by how much time there is."""
        return quick if self.quick else full

    @contextmanager
    def place(self, kind: str) -> Iterator[Place]:
        """A fresh place. PostgreSQL is a real, durable server that starts when first needed.

        Homes are kept until the end: ext4 looks at every inode that was freed in the last five
        seconds when it makes a file, so tidying up after a round would slow down the next.
        """
        home = Path(tempfile.mkdtemp(dir=self._root()))
        if kind == SQLITE:
            yield Place(home, f"sqlite:///{home / 'runyard.db'}")
        else:
            with database(self._postgres_home()) as url:
                yield Place(home, url)

    def _root(self) -> Path:
        if self._homes is None:
            self._homes = self._stack.enter_context(temporary_directory())
        return self._homes

    def _postgres_home(self) -> Path:
        if self._postgres is None:
            self._postgres = self._stack.enter_context(PostgresKeeper(durable=True))
        return self._postgres.home


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory that is gone afterwards, even if something still writes into it."""
    with tempfile.TemporaryDirectory(prefix="runyard-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def seconds(action: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def alternate(rounds: int, *sides: Callable[[], float]) -> list[list[float]]:
    """Measure each side in turn, round after round; gives a list of values for each side."""
    taken = [[side() for side in sides] for _ in range(rounds)]
    return [list(values) for values in zip(*taken, strict=True)]


def ratio(values: Sequence[float], peers: Sequence[float]) -> float:
    """The median of the ratios within each round, which a slow minute changes little."""
    return median(a / b for a, b in zip(values, peers, strict=True))


def p95(values: Iterable[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


def program(name: str) -> str:
    """A console script of this environment."""
    return str(Path(sys.executable).with_name(name))


def say(line: str) -> None:
    """Progress, to be seen at once."""
    print(f"  {line}", flush=True)


def table(figures: Sequence[Figure]) -> str:
    """The summary: name, figure, floor, aim, verdict, and what it stands beside."""
    head = ("name", "figure", "floor", "aim", "", "beside")
    rows = [head, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}",
        _limit(figure, figure.floor),
        _limit(figure, figure.aim),
        figure.verdict,
        figure.beside,
    )


def _limit(figure: Figure, value: float | None) -> str:
    if value is None:
        return ""
    return f"{'≤' if figure.less_is_better else '≥'} {_number(value)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_json(figures: Sequence[Figure]) -> dict[str, Any]:
    """The figures for a file, with what they say about the machine."""
    return {
        "taken_at": time.time(),
        "cpus": os.cpu_count(),
        "python": sys.version.split()[0],
        "figures": [
            {
                "name": figure.name,
                "value": figure.value,
                "unit": figure.unit,
                "floor": figure.floor,
                "aim": figure.aim,
                "less_is_better": figure.less_is_better,
                "ok": not figure.is_below_floor,
                "beside": figure.beside,
            }
            for figure in figures
        ],
    }
