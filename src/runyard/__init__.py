"""Runyard runs a team's tests and batch jobs on whatever the team has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runyard.client.local import Runyard
    from runyard.domain.job import JobSpec

__version__ = "0.1.0"
__all__ = ["JobSpec", "Runyard", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are used: ``runyard --help`` must not wait for them."""
    if name == "Runyard":
        from runyard.client.local import Runyard

        return Runyard
    if name == "JobSpec":
        from runyard.domain.job import JobSpec

        return JobSpec
    raise AttributeError(f"module 'runyard' has no attribute {name!r}")
