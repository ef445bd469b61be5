from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard.config import Settings
from tests.support.serving import Serving, serving


@pytest.fixture
def place(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with serving(Settings.load()) as place:
        yield place
