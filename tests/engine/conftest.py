"""``yard``: a client whose jobs wait for the workers that a test starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.clock import ManualClock
from runyard.store.database import Store


@pytest.fixture
def yard(home: Path) -> Iterator[Runyard]:
    """A client of an empty SQLite home; starts no worker."""
    with Runyard(background_worker=False) as yard:
        yield yard


@pytest.fixture(params=["sqlite", "postgresql"])
def any_yard(
    request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runyard]:
    """The same, once on each database; workers find it in the environment."""
    if request.param == "postgresql":
        monkeypatch.setenv("RUNYARD_DATABASE_URL", request.getfixturevalue("pg_url"))
    with Runyard(background_worker=False) as yard:
        yield yard


@pytest.fixture
def clock() -> ManualClock:
    """The clock of ``store``."""
    return ManualClock()


@pytest.fixture
def store(yard: Runyard, clock: ManualClock) -> Iterator[Store]:
    """The store of ``yard`` in a time that tests move."""
    store = Store(f"sqlite:///{yard.home}/runyard.db", clock)
    yield store
    store.close()
