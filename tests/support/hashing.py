"""Hashes of passwords are slow on purpose; most tests are about something else."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from runyard.service import credentials

SLOW = credentials._hasher


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same hash, with the least effort that it can be made with."""
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(credentials, "_hasher", cache(lambda: cheap))
    credentials._nobodys_hash.cache_clear()
    yield
    credentials._nobodys_hash.cache_clear()
