"""Words that several messages share."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


def did_you_mean(word: str, known: Collection[str]) -> str:
    """A question about what resembles a word, to be put behind a message; or ""."""
    found = near(word, sorted(known))
    return f": did you mean {quoted(found)}?" if found else ""


def near(word: str, known: Collection[str]) -> str | None:
    """What resembles a word most, if anything does."""
    found = get_close_matches(word[:300], known, n=1)
    return found[0] if found else None


def quoted(name: str) -> str:
    """A name from outside, fit for a message."""
    return repr(short(name))


def short(text: str) -> str:
    """A text that is not too long for a message."""
    return text if len(text) <= 80 else text[:79] + "…"


def span(seconds: float) -> str:
    """A stretch of time, as exact as anybody wants to know: ``42 s``, ``12 min``, ``3.5 h``,
    ``20 days``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.0f} days"
