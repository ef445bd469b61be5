"""Public ids: short, random, easy to read aloud, unique by a prefix of a few characters."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from runyard.errors import NotFound

# Crockford's base 32 without the letters that look like digits or spell words by accident.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 13
BATCH_PREFIX = "b-"

_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]


def job_ids(count: int) -> list[str]:
    """``count`` fresh job ids of 65 random bits each; one read of the random source for all."""
    pool = secrets.token_bytes(9 * count)
    return [_encode(int.from_bytes(pool[i : i + 9], "little")) for i in range(0, 9 * count, 9)]


def batch_id() -> str:
    """A fresh batch id; its prefix tells it from a job's."""
    return BATCH_PREFIX + job_ids(1)[0]


def is_batch_id(text: str) -> bool:
    """Whether ``text`` is, or begins like, a batch's id."""
    return text.startswith(BATCH_PREFIX)


def _encode(number: int) -> str:
    """The low 65 bits of ``number`` as 13 characters, two at a time for speed."""
    pairs = _PAIRS
    return (
        pairs[number & 1023]
        + pairs[number >> 10 & 1023]
        + pairs[number >> 20 & 1023]
        + pairs[number >> 30 & 1023]
        + pairs[number >> 40 & 1023]
        + pairs[number >> 50 & 1023]
        + ALPHABET[number >> 60 & 31]
    )


def no_such(word: str, prefix: str) -> NotFound:
    """The error for a prefix that no id of a ``job`` or ``batch`` begins with."""
    hint = ": that is how the id of a batch begins" if word == "job" and is_batch_id(prefix) else ""
    return NotFound(f"there is no {word} {prefix!r}{hint}")


def several(word: str, prefix: str, ids: Sequence[str]) -> NotFound:
    """The error for a prefix that the ids of several jobs or batches begin with."""
    some = ", ".join([*ids[:3], *["…"] * (len(ids) > 3)])
    words = {"job": "jobs", "batch": "batches"}[word]
    return NotFound(f"{prefix!r} fits several {words} ({some})")
