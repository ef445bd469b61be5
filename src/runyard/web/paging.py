"""Pages of lists: at most so many items, and the cursor of what comes behind the last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from runyard.domain.listing import Place, cursor_of, place_of
from runyard.errors import NotFound

Item = TypeVar("Item")


def page_of(
    found: Sequence[Item], limit: int, place: Callable[[Item], Place]
) -> tuple[list[Item], str | None]:
    """A page and its ``next``, of a list of which one more was asked for than fits."""
    shown = list(found[:limit])
    return shown, cursor_of(place(shown[-1])) if len(found) > limit else None


def part_of(
    items: Iterable[Item], limit: int, cursor: str | None, place: Callable[[Item], Place]
) -> tuple[list[Item], str | None]:
    """The same of a list that is at hand and short; in order of place."""
    ordered = sorted(items, key=place)
    if cursor is not None and ordered:
        last = place_of(cursor, len(place(ordered[0])))
        ordered = [item for item in ordered if place(item) > last]
    return page_of(ordered, limit, place)


def ascending(number: int) -> str:
    """A whole number as part of a place."""
    return f"{number:020d}"


def pair_of(cursor: str) -> tuple[str, str]:
    """The two parts of a place. Raises ``NotFound`` if no such list gave it."""
    first, second = place_of(cursor, 2)
    return first, second


def instant_of(cursor: str) -> tuple[float, str]:
    """The same of a place that begins with an instant, of lists that begin with the newest."""
    first, second = pair_of(cursor)
    try:
        return float(first), second
    except ValueError:
        raise NotFound(f"{cursor[:100]!r} is not a cursor that a list gave") from None
