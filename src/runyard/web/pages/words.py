"""How pages write numbers and times."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from runyard.service import yaml12

NOTHING = "\N{EN DASH}"
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def duration(seconds: float | None) -> str:
    """``34 ms``, ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``; the script
    writes the same."""
    if seconds is None:
        return NOTHING
    seconds = max(0.0, seconds)
    if 0 < seconds < 0.1:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def ago(seconds: float) -> str:
    """``just now``, ``5 min ago``, ``in 5 min``."""
    size, sign = abs(seconds), seconds >= 0
    if size < 45:
        return "just now" if sign else "in a moment"
    length, unit = next((one for one in _UNITS if size >= one[0]), _UNITS[-1])
    text = f"{max(1, round(size / length))} {unit}"
    return f"{text} ago" if sign else f"in {text}"


def stamp(instant: float) -> str:
    """``2026-11-21 23:05:56 UTC``."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(instant: float, now: float) -> str:
    """``23:05:56``, UTC; with the day if that is not the one of ``now``: ``11-21 23:05:56``."""
    then, today = datetime.fromtimestamp(instant, UTC), datetime.fromtimestamp(now, UTC)
    return then.strftime("%H:%M:%S" if then.date() == today.date() else "%m-%d %H:%M:%S")


def machine(instant: float) -> str:
    """For ``datetime`` attributes."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(value: float) -> str:
    """``1,234,567``."""
    return f"{value:,.0f}"


def size(count: float) -> str:
    """``12 B``, ``3.4 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def plural(count: int, word: str) -> str:
    """``1 job``, ``2 jobs``, ``1,200 batches``."""
    more = "es" if word.endswith(("ch", "s")) else "s"
    return f"{number(count)} {word}{'' if count == 1 else more}"


def capitalize_first(text: str) -> str:
    """``a Sentence`` as ``A Sentence``."""
    return text[:1].upper() + text[1:]


def pretty(value: Any) -> str:
    """JSON to be read by people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_yaml(value: Any) -> str:
    """A document, as people write them."""
    return yaml12.dump(value)


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    some = list(words)
    return " and ".join(filter(None, [", ".join(some[:-1]), *some[-1:]]))
