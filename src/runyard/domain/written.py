"""Small things as people write them: a duration, a pair, an axis of a matrix, JSON.

The command line and the forms read them here, so that both take the same and refuse the rest in the
same words: every function raises ``ValueError`` with a sentence, or the end of one.
"""

from __future__ import annotations

import json
import re
from typing import Any

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)")


def seconds(text: str) -> float:
    """``90``, ``1.5h``, ``10m`` in seconds."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no duration: write seconds, or 500ms, 10m, 2h, 1d")
    return float(match[1]) * _UNITS[match[2]]


def pair(text: str, *, bare: bool = False) -> tuple[str, str | None]:
    """``KEY=VALUE``; with ``bare`` also ``KEY`` alone, whose value is then None."""
    key, equals, rest = text.partition("=")
    if not key or not (equals or bare):
        raise ValueError(f"{text!r} is not of the form KEY=VALUE")
    return key, rest if equals else None


def axis(text: str) -> tuple[str, list[str]]:
    """``AXIS=VALUE,VALUE…``, as an axis of a matrix and its values."""
    name, equals, rest = text.partition("=")
    if not name or not equals:
        raise ValueError(f"{text!r} is not of the form AXIS=VALUE,VALUE…")
    return name, rest.split(",")


def combination(text: str) -> dict[str, str]:
    """``AXIS=VALUE,AXIS=VALUE…``, as a combination of values of a matrix, or a part of one."""
    pairs = [item.partition("=") for item in text.split(",")]
    if not all(name and equals for name, equals, _ in pairs):
        raise ValueError(f"{text!r} is not of the form AXIS=VALUE,AXIS=VALUE…")
    return {name: value for name, _, value in pairs}


def json_value(text: str) -> Any:
    """What a text says in JSON."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
