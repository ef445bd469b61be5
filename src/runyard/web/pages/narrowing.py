"""What a list is narrowed to: it stands in the page's address, under the names that the API has, so
that it can be kept, sent to somebody and asked of a program as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import Query, Request
from pydantic import BeforeValidator

from runyard.domain.job import State
from runyard.errors import InvalidRequest
from runyard.web.params import posix

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Field:
    """Something that a list can be narrowed by. With ``options`` it is one of these; ``several``
    may hold at once."""

    name: str
    label: str
    hint: str = ""
    options: Sequence[str] = ()
    kind: str = "text"
    several: bool = False


class Chip(NamedTuple):
    """Something that a list is narrowed to, and the address of the list without that."""

    label: str
    value: str
    href: str


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A list of a page: the fields that its form offers, and the pairs that its address has."""

    path: str
    fields: Sequence[Field]
    pairs: Sequence[Pair]

    @classmethod
    def of(cls, request: Request, *fields: Field, path: str = "") -> Narrowed:
        """What the address of a page asks for; what is empty asks for nothing. The ``path`` is
        that of the page, unless a form's answer shows the list of another one."""
        names = {field.name for field in fields}
        found = [
            (name, value.strip())
            for name, value in request.query_params.multi_items()
            if name in names and value.strip()
        ]
        return cls(path or request.url.path, fields, list(dict.fromkeys(found)))

    def value(self, name: str) -> str:
        """What a field holds, the first if it holds several."""
        return next((value for key, value in self.pairs if key == name), "")

    def values(self, name: str) -> list[str]:
        """All that a field holds."""
        return [value for key, value in self.pairs if key == name]

    def href(self, pairs: Sequence[Pair]) -> str:
        """The address of the list, narrowed to something else."""
        return f"{self.path}?{urlencode(pairs)}" if pairs else self.path

    def only(self, name: str, value: str = "") -> str:
        """The address of the list with this in a field, or with nothing in it."""
        others = [pair for pair in self.pairs if pair[0] != name]
        return self.href([*others, (name, value)] if value else others)

    @property
    def chips(self) -> list[Chip]:
        """What it is narrowed to, in the order of the address."""
        labels = {field.name: field.label for field in self.fields}
        return [Chip(labels[name], value, self._without(name, value)) for name, value in self.pairs]

    def _without(self, *pair: str) -> str:
        return self.href([one for one in self.pairs if one != pair])


def chosen(text: str) -> str | None:
    """What a field was filled in with, if it was."""
    return text.strip() or None


def given(values: object) -> object:
    """Values of a field without empty ones: a form sends also what was left open."""
    return [one for one in values if one != ""] if isinstance(values, list) else values


States = Annotated[list[State], BeforeValidator(given), Query()]


def instant(name: str, text: str) -> float | None:
    """An instant that a form was filled in with, in POSIX seconds; without a zone, it is UTC.
    Raises ``InvalidRequest``."""
    if not text.strip():
        return None
    try:
        return posix(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise InvalidRequest(
            f"{name} is {text[:40]!r}, which is no instant; one is written as 2030-01-31T12:00"
        ) from None


Q = Field("q", "Name", "part of the name")
ORG = Field("org_id", "Org")
BUILD = Field("app_version_id", "Build")
TARGET = Field("target", "Target", "local")
BY = Field("submitted_by", "Submitted by")
STATE = Field("state", "State", options=tuple(State), several=True)
