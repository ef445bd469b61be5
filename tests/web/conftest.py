"""One server for each test, on SQLite or on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect

from runyard import bootstrap
from runyard.config import Settings
from runyard.domain.user import Role
from runyard.service.jobs import Jobs
from tests.store.conftest import (
    postgres_of_this_worker,
    postgres_template,
    sqlite_template,
    store_url,
)
from tests.support.browsing import Browser, browser
from tests.support.chromium import PATIENCE, launched
from tests.support.hashing import quick_hashes
from tests.support.serving import Serving, serving
from tests.web.acme import acme

__all__ = [
    "acme",
    "postgres_of_this_worker",
    "postgres_template",
    "quick_hashes",
    "sqlite_template",
    "store_url",
]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests; each has profiles of its own."""
    expect.set_options(timeout=PATIENCE)
    with launched() as one:
        yield one


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


@pytest.fixture
def ada(here: Serving) -> Iterator[Browser]:
    """An admin who has signed in."""
    with browser(here.url) as one:
        yield one.come_in(here, "ada", Role.ADMIN)


@pytest.fixture
def max_(here: Serving) -> Iterator[Browser]:
    """A member of acme who has signed in."""
    with browser(here.url) as one:
        yield one.come_in(here, "max", Role.MEMBER, "acme")


@pytest.fixture
def vic(here: Serving) -> Iterator[Browser]:
    """A viewer of acme who has signed in."""
    with browser(here.url) as one:
        yield one.come_in(here, "vic", Role.VIEWER, "acme")


@pytest.fixture
def jobs(here: Serving) -> Jobs:
    """What the operator may do, without a page."""
    return bootstrap.jobs(here.settings, here.store)
