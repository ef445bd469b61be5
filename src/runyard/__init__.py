"""Runyard runs a team's tests and batch jobs on whatever the team has."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runyard.client.asynchronous import AsyncRunyard
    from runyard.client.sync import Runyard
    from runyard.domain.job import JobSpec

__version__ = "0.1.0"
__all__ = ["AsyncRunyard", "JobSpec", "Runyard", "__version__"]

_MODULES = {
    "AsyncRunyard": "runyard.client.asynchronous",
    "JobSpec": "runyard.domain.job",
    "Runyard": "runyard.client.sync",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are used: ``runyard --help`` must not wait for them."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'runyard' has no attribute {name!r}")
