"""Where the tests of the command line are when they run."""

from pathlib import Path

import pytest


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
