"""One fixture, ``store``, makes every test of the store run on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard.clock import ManualClock
from runyard.store.database import Store
from tests.store.support import copy_of, empty, upgraded
from tests.support.postgres import database


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upgraded, empty SQLite file: copying it is quicker than upgrading again."""
    path = tmp_path_factory.mktemp("template") / "runyard.db"
    upgraded(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Path) -> Iterator[str]:
    """The URL of an upgraded, empty PostgreSQL database."""
    with database(postgres_server) as url:
        upgraded(url).close()
        yield url


@pytest.fixture(scope="session")
def postgres_of_this_worker(postgres_template: str) -> Iterator[str]:
    """A PostgreSQL database for one test after the other: emptying one is quicker than another
    copy."""
    with copy_of(postgres_template) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an upgraded, empty database that no other test uses meanwhile."""
    if request.param == "sqlite":
        path = tmp_path / "runyard.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
    elif request.param == "new postgresql":
        with copy_of(request.getfixturevalue("postgres_template")) as url:
            yield url
    else:
        url = request.getfixturevalue("postgres_of_this_worker")
        empty(url)
        yield url


@pytest.fixture
def clock() -> ManualClock:
    """The clock of ``store``; leases end and delays are over when a test moves it."""
    return ManualClock()


@pytest.fixture
def store(store_url: str, clock: ManualClock) -> Iterator[Store]:
    """An empty store, once on SQLite and once on PostgreSQL."""
    store = Store(store_url, clock)
    yield store
    store.close()
