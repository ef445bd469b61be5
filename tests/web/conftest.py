"""One server for each test, on SQLite or on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from runyard.config import Settings
from runyard.domain.user import Role
from tests.store.conftest import (
    postgres_of_this_worker,
    postgres_template,
    sqlite_template,
    store_url,
)
from tests.support.chromium import PATIENCE, launched
from tests.support.hashing import quick_hashes
from tests.support.serving import Serving, serving

__all__ = [
    "postgres_of_this_worker",
    "postgres_template",
    "quick_hashes",
    "sqlite_template",
    "store_url",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each has profiles of its own."""
    expect.set_options(timeout=PATIENCE)
    with launched() as browser:
        yield browser


@pytest.fixture
def here(home: Path, store_url: str) -> Iterator[Serving]:
    """A server on an empty database, once on SQLite and once on PostgreSQL."""
    with serving(Settings.load(home, store_url)) as place:
        yield place


@pytest.fixture
def admin(here: Serving) -> Iterator[httpx.Client]:
    with here.client(here.user("ada", Role.ADMIN)) as client:
        yield client


@pytest.fixture
def member(here: Serving) -> Iterator[httpx.Client]:
    """Max of acme."""
    with here.client(here.user("max", Role.MEMBER, "acme")) as client:
        yield client


@pytest.fixture
def colleague(here: Serving) -> Iterator[httpx.Client]:
    """Eve, also of acme."""
    with here.client(here.user("eve", Role.MEMBER, "acme")) as client:
        yield client


@pytest.fixture
def stranger(here: Serving) -> Iterator[httpx.Client]:
    """Oli, of another org."""
    with here.client(here.user("oli", Role.MEMBER, "other")) as client:
        yield client


@pytest.fixture
def viewer(here: Serving) -> Iterator[httpx.Client]:
    """Vic of acme, who only looks."""
    with here.client(here.user("vic", Role.VIEWER, "acme")) as client:
        yield client
