"""Launchers that must leave nothing behind: ``bench`` for one test, ``shared_bench`` for those
of a module that do not harm it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.launching import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A launcher; when the test is over, none of the processes it started may be there."""
    with Bench(tmp_path) as bench:
        yield bench


@pytest.fixture(scope="module")
def shared_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The same for all tests of a module."""
    with Bench(tmp_path_factory.mktemp("bench")) as bench:
        yield bench
