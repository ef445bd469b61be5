"""A matrix: one job for each combination of values, ``{axis}`` filled in.

A job may have one, or all jobs of a batch that have none of their own. Its variants have the
values behind their name, where the name does not mention them, and as labels. Who depends on a
job with a matrix depends on those of its variants that agree with it where both have an axis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runyard.domain.batch import MOST_JOBS
from runyard.domain.placeholders import (
    Place,
    Values,
    Weight,
    Wrong,
    as_text,
    fill,
    filled,
    filled_job,
    is_name,
    mentioned,
)
from runyard.errors import InvalidGraph

MOST = 10_000  # combinations of one matrix
MOST_EXCLUDED = 1_000
MOST_TEXT = 128 << 20  # in all jobs together, about
MOST_LINKS = 1_000_000  # dependencies between them


@dataclass(frozen=True, slots=True)
class Matrix:
    """Axes with their values, in order, and all combinations that are not excluded, of which the
    last axis changes first."""

    axes: Mapping[str, Sequence[str]]
    combinations: Sequence[dict[str, str]]

    @classmethod
    def read(cls, matrix: Any, exclude: Any = None) -> Matrix | None:
        """What stands in a document under these keys; None for a matrix without axes, which means
        one job, once. Raises ``Wrong``."""
        axes = {} if matrix is None else matrix
        if not isinstance(axes, Mapping):
            raise Wrong(("matrix",), "must be an object: each axis with the list of its values")
        read = {axis: _values(axis, values) for axis, values in axes.items()}
        excluded = _excluded(exclude, read)
        if not read:
            return None
        count = math.prod(len(values) for values in read.values())
        if count > MOST:
            raise Wrong(("matrix",), f"has {count} combinations; at most {MOST} are allowed")
        rows = itertools.product(*read.values())
        found = _without(excluded, [dict(zip(read, row, strict=True)) for row in rows])
        if not found:
            raise Wrong(("exclude",), "leaves nothing of the matrix")
        return cls(read, found)


@dataclass(slots=True)
class Family:
    """The variants of one job, found by the axes that somebody else shares with them."""

    members: list[tuple[str, Values]] = field(default_factory=list)
    _by_axes: dict[tuple[str, ...], dict[tuple[str, ...], list[str]]] = field(default_factory=dict)

    def agreeing(self, values: Values) -> list[str]:
        """The names of those that have the same values where both have an axis."""
        axes = tuple(axis for axis in self.members[0][1] if axis in values)
        if axes not in self._by_axes:
            index: dict[tuple[str, ...], list[str]] = {}
            for name, own in self.members:
                index.setdefault(tuple(own[axis] for axis in axes), []).append(name)
            self._by_axes[axes] = index
        return self._by_axes[axes].get(tuple(values[axis] for axis in axes), [])


class Made(NamedTuple):
    """A variant, and what it was made from: the job of that number, with these fields."""

    origin: int
    fields: Mapping[str, Any]
    values: Values
    variant: dict[str, Any]


Job = tuple[Mapping[str, Any], Matrix | None]


def fan_out(
    jobs: Iterable[Job], everywhere: Values | None = None
) -> list[tuple[int, dict[str, Any]]]:
    """The fields of all the jobs that some jobs stand for, each with the index of the one it was
    made from; the values of ``everywhere`` are filled in beside those of the axes. Raises
    ``Wrong`` and ``InvalidGraph``."""
    common = everywhere or {}
    made: list[Made] = []
    families: dict[str, Family] = {}
    count = 0
    room = MOST_TEXT
    for index, (fields, matrix) in enumerate(jobs):
        weight = Weight(fields)
        for values in [{}] if matrix is None else matrix.combinations:
            room -= weight.filled({**common, **values})
            if room < 0:
                place: Place = ("matrix",) if matrix else ()
                raise Wrong(place, f"filled in, they hold more than {MOST_TEXT >> 20} MiB of text")
        if matrix is None:
            made.append(Made(index, fields, {}, filled_job(fields, common)))
            continue
        variants = _variants(fields, matrix, common)
        count += len(variants)
        if count > MOST_JOBS:
            raise Wrong(("matrix",), f"with it there are more than {MOST_JOBS} jobs")
        if base := fill(_text(fields.get("name")), common):
            _meet(families, base, matrix, variants)
        made += [Made(index, fields, values, variant) for values, variant in variants]
    if families:
        _link(made, families, common)
    return [(one.origin, one.variant) for one in made]


def _meet(
    families: dict[str, Family],
    base: str,
    matrix: Matrix,
    variants: Iterable[tuple[Values, Mapping[str, Any]]],
) -> None:
    family = families.setdefault(base, Family())
    if family.members and family.members[0][1].keys() != matrix.axes.keys():
        raise InvalidGraph(f"two jobs are named {base!r}, with different matrices")
    family.members += [(str(fields["name"]), values) for values, fields in variants]


def _variants(
    fields: Mapping[str, Any], matrix: Matrix, common: Values
) -> list[tuple[dict[str, str], dict[str, Any]]]:
    done = [filled_job(fields, {**common, **values}) for values in matrix.combinations]
    names = _names(_text(fields.get("name")), matrix, common)
    for values, variant, name in zip(matrix.combinations, done, names, strict=True):
        if name:
            variant["name"] = name
        labels = variant.get("labels", {})
        if isinstance(labels, Mapping):  # what it is otherwise, is found out later
            variant["labels"] = {**values, **labels}
    return list(zip(matrix.combinations, done, strict=True))


def _names(name: str, matrix: Matrix, common: Values) -> list[str]:
    if not name:
        return [""] * len(matrix.combinations)
    open_axes = [axis for axis in matrix.axes if axis not in mentioned(name)]
    both = [(fill(name, {**common, **values}), values) for values in matrix.combinations]
    names = [" ".join([text, *(values[axis] for axis in open_axes)]) for text, values in both]
    if len(set(names)) < len(names):  # "{a}{b}" says the same of 1 and 11 as of 11 and 1
        names = [" ".join([text, *values.values()]) for text, values in both]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return names


def _link(made: Sequence[Made], families: Mapping[str, Family], common: Values) -> None:
    """Put the variants that are meant in the place of the jobs they were made from."""
    known = {_text(one.variant.get("name")) for one in made}
    links = 0
    for _, fields, values, variant in made:
        wanted = fields.get("depends_on")
        if not isinstance(wanted, list | tuple) or not wanted:
            continue
        found: list[Any] = []
        for raw, text in zip(filled(wanted, common), variant["depends_on"], strict=True):
            found += _meant(variant, values, raw, text, known, families)
        variant["depends_on"] = list(dict.fromkeys(found)) if _are_texts(found) else found
        links += len(found)
        if links > MOST_LINKS:
            raise InvalidGraph(f"the matrices make more than {MOST_LINKS} dependencies")


def _meant(
    variant: Mapping[str, Any],
    values: Values,
    raw: Any,
    text: Any,
    known: set[str],
    families: Mapping[str, Family],
) -> Sequence[Any]:
    family = families.get(_text(text)) or families.get(_text(raw))
    if _text(text) in known or family is None:
        return [text]
    found = family.agreeing(values)
    if not found:
        name = variant.get("name")
        raise InvalidGraph(f"{name!r} needs {raw!r}, of which no variant has the same values")
    return found


def _are_texts(items: Iterable[Any]) -> bool:
    return all(isinstance(item, str) for item in items)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


# Reading.


def _values(axis: Any, given: Any) -> tuple[str, ...]:
    place: Place = ("matrix", str(axis))
    if axis == "exclude":
        raise Wrong(place, "stands beside the matrix, not in it")
    if not isinstance(axis, str) or not is_name(axis):
        raise Wrong(("matrix",), f"{axis!r} is no name for an axis: letters, digits, _ and -")
    if not isinstance(given, list | tuple):
        raise Wrong(place, "must be a list of values")
    if not given:
        raise Wrong(place, "has no values")
    values = tuple(as_text(value, (*place, number)) for number, value in enumerate(given))
    if len(set(values)) < len(values):
        twice = next(value for value in values if values.count(value) > 1)
        raise Wrong(place, f"has {twice!r} twice")
    return values


def _excluded(given: Any, axes: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    if given is None:
        return []
    if not isinstance(given, list | tuple):
        raise Wrong(("exclude",), "must be a list of objects")
    if len(given) > MOST_EXCLUDED:
        raise Wrong(("exclude",), f"has more than {MOST_EXCLUDED} entries")
    return [_exclusion(("exclude", number), one, axes) for number, one in enumerate(given)]


def _exclusion(place: Place, given: Any, axes: Mapping[str, Sequence[str]]) -> dict[str, str]:
    if not isinstance(given, Mapping) or not given:
        raise Wrong(place, "must be an object: an axis, or several, with the value to leave out")
    found = {}
    for axis, value in given.items():
        if axis not in axes:
            raise Wrong(place, f"the matrix has no axis {axis!r}")
        found[axis] = as_text(value, (*place, axis))
        if found[axis] not in axes[axis]:
            raise Wrong((*place, axis), f"the axis has no value {found[axis]!r}")
    return found


def _without(excluded: Iterable[Values], found: list[dict[str, str]]) -> list[dict[str, str]]:
    """What agrees with none of those that are excluded; these by the axes they name, so that many
    of them cost no more than one."""
    by_axes: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for out in excluded:
        axes = tuple(sorted(out))
        by_axes.setdefault(axes, set()).add(tuple(out[axis] for axis in axes))
    for axes, values in by_axes.items():
        found = [one for one in found if tuple(one[axis] for axis in axes) not in values]
    return found
