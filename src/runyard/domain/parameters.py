"""Parameters of a document: what is filled in for ``{name}`` each time it is used.

``{"branch": "main", "build": null, "suite": {"default": "all", "description": "which tests"}}``:
a text is the default, null means that a value has to be given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from runyard.domain.placeholders import Values, Wrong, as_text, is_name

Value = str | int | float | bool  # as given; a float is refused, for what stood there is not known

_KEYS = frozenset({"default", "description"})


class Parameter(BaseModel):
    """One of them; without a default it is required."""

    name: str
    default: str | None = None
    description: str = ""


def read(given: Any) -> dict[str, Parameter]:
    """What stands in a document under ``parameters``. Raises ``Wrong``."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise Wrong(("parameters",), "must be an object: each parameter with its default, or null")
    return {name: _parameter(name, value) for name, value in given.items()}


def _parameter(name: Any, given: Any) -> Parameter:
    if not isinstance(name, str) or not is_name(name):
        text = f"{name!r} is no name for a parameter: letters, digits, _ and -"
        raise Wrong(("parameters",), text)
    place = ("parameters", name)
    if given is None:
        return Parameter(name=name)
    if not isinstance(given, Mapping):
        return Parameter(name=name, default=as_text(given, place))
    for key in given:
        if key not in _KEYS:
            raise Wrong(place, f"unknown field {key!r}: there are default and description")
    default, description = given.get("default"), given.get("description", "")
    return Parameter(
        name=name,
        default=None if default is None else as_text(default, (*place, "default")),
        description=as_text(description, (*place, "description")),
    )


def texts(given: Mapping[str, Value]) -> dict[str, str]:
    """Given values as what is filled in: whole numbers, true and false may be given as such. Raises
    ``Wrong``."""
    return {name: as_text(value, (name,)) for name, value in given.items()}


def values(declared: Mapping[str, Parameter], given: Values) -> dict[str, str]:
    """The values of all parameters. Raises ``Wrong`` for one that is missing or not known."""
    for name in given:
        if name not in declared:
            known = f"there are {', '.join(declared)}" if declared else "there are none"
            raise Wrong((), f"no parameter is called {name!r}: {known}")
    found = {}
    for name, parameter in declared.items():
        value = given.get(name, parameter.default)
        if value is None:
            raise Wrong((), f"the parameter {name!r} needs a value")
        found[name] = value
    return found
