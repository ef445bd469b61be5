"""``{name}`` in the texts of a job, and what is put in its place.

What names nothing that is known stays as it is, and so does ``${name}``: shells and programs have
braces of their own.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from typing import Any

from runyard.domain.job import Kind

NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,99}"
_PLACEHOLDER = re.compile(r"(?<!\$)\{(" + NAME + r")\}")
_SHELL_KINDS = (None, "exec", Kind.SHELL)

Values = Mapping[str, str]
Place = tuple[str | int, ...]


class Wrong(Exception):
    """What cannot be filled in; ``place`` says where in a document it stands, the text does not."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place = place


def is_name(text: str) -> bool:
    """Whether ``{text}`` can be a placeholder."""
    return re.fullmatch(NAME, text) is not None


def fill(text: str, values: Values) -> str:
    """``text`` with the placeholders of ``values`` filled in, all at once: what a value brings
    along is not looked at again."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def filled(value: Any, values: Values) -> Any:
    """JSON with all texts in it filled in, but for the keys of objects."""
    if isinstance(value, str):
        return fill(value, values)
    if isinstance(value, list | tuple):
        return [filled(item, values) for item in value]
    if isinstance(value, Mapping):
        return {key: filled(item, values) for key, item in value.items()}
    return value


def filled_job(fields: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """The fields of a job, filled in; quoted where a shell will read them."""
    done = {name: filled(value, values) for name, value in fields.items()}
    command = fields.get("command")
    if isinstance(command, str) and done.get("kind") in _SHELL_KINDS:
        quoted = {name: shlex.quote(value) for name, value in values.items()}
        done["command"] = fill(command, quoted)
    return done


class Weight:
    """How much a value will hold when it is filled in, in characters, about: known before, since a
    few short texts and long values can make more than a machine has room for."""

    def __init__(self, value: Any) -> None:
        self._own = 0
        self._names: Counter[str] = Counter()
        self._add(value)

    def filled(self, values: Values) -> int:
        """With these values."""
        return self._own + sum(
            count * len(values[name]) for name, count in self._names.items() if name in values
        )

    def _add(self, value: Any) -> None:
        self._own += 8
        if isinstance(value, str):
            self._own += len(value)
            self._names.update(_PLACEHOLDER.findall(value))
        elif isinstance(value, list | tuple):
            for item in value:
                self._add(item)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                self._own += len(str(key))
                self._add(item)


def as_text(value: Any, place: Place) -> str:
    """A value from a document: text, or what can be read as one thing only. Raises ``Wrong``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        raise Wrong(place, "put the number into quotes, or 3.10 is the same as 3.1")
    if not isinstance(value, str):
        raise Wrong(place, "must be text")
    return value


def mentioned(text: str) -> set[str]:
    """The names of the placeholders in a text."""
    return set(_PLACEHOLDER.findall(text))
