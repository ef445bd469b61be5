"""Lists of things: as one JSON object, or as a table that is as wide as what it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import click
from pydantic import BaseModel

from runyard.cli.params import printable
from runyard.cli.session import print_json
from runyard.cli.streams import reader_may_leave

Item = TypeVar("Item", bound=BaseModel)
Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column(Generic[Item]):
    """What a list says of each item. Numbers stand to the right; None leaves the cell empty."""

    title: str
    of: Callable[[Item], Value]
    colour: Callable[[Item], str | None] = lambda _: None


def print_list(
    name: str, items: Sequence[Item], columns: Sequence[Column[Item]], as_json: bool, **more: Any
) -> None:
    """Print all ``items``; as JSON under their ``name``, with ``more`` beside it."""
    if as_json:
        print_json({name: [item.model_dump(mode="json") for item in items], **more})
        return
    with reader_may_leave():
        for line in _table(items, columns):
            click.echo(line)


def print_page(
    name: str,
    items: Sequence[Item],
    columns: Sequence[Column[Item]],
    as_json: bool,
    following: object,
    option: str = "--cursor",
) -> None:
    """Print part of a list. ``following``, given as ``option``, leads on to the part after it."""
    print_list(name, items, columns, as_json, next=following)
    if following is not None and not as_json:
        click.echo(f"more: the same with {option} {following}", err=True)


def _table(items: Sequence[Item], columns: Sequence[Column[Item]]) -> list[str]:
    values = [[column.of(item) for item in items] for column in columns]
    is_number = [any(isinstance(value, int | float) for value in column) for column in values]
    cells = [
        [column.title, *map(_text, found)] for column, found in zip(columns, values, strict=True)
    ]
    widths = [max(map(len, column)) for column in cells]
    padded = [
        [text.rjust(width) if right else text.ljust(width) for text in column]
        for column, width, right in zip(cells, widths, is_number, strict=True)
    ]
    for column, texts in zip(columns, padded, strict=True):
        for row, item in enumerate(items, start=1):
            if colour := column.colour(item):
                texts[row] = click.style(texts[row], fg=colour)
    return ["  ".join(row).rstrip() for row in zip(*padded, strict=True)]


def _text(value: Value) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if isinstance(value, float) else printable(str(value))
