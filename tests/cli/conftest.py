"""Where the tests of the command line are when they run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard.config import Settings
from runyard.domain.user import Role
from tests.support.serving import serving


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and an empty current directory, and nothing in the environment that has to do
    with terminals."""
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        monkeypatch.delenv(variable, raising=False)
    return path


@pytest.fixture(params=["local", "remote"])
def way(
    request: pytest.FixtureRequest, here: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Commands work on the home, or go to a server on it: nobody shall see which."""
    if request.param == "local":
        yield "local"
        return
    with serving(Settings.load()) as place:
        monkeypatch.setenv("RUNYARD_URL", place.url)
        monkeypatch.setenv("RUNYARD_TOKEN", place.user("ada", Role.ADMIN, password=None))
        yield "remote"
