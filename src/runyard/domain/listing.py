"""Which jobs, batches or groups a list shows, and a page of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from runyard.domain.batch import Batch
from runyard.domain.job import Job, State
from runyard.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; None and empty mean any. ``text`` is a part of the name, or of the
    command of a job without one."""

    states: frozenset[State] = frozenset()
    batch_id: str | None = None
    org_id: str | None = None
    app_version_id: str | None = None
    target: str | None = None
    submitted_by: str | None = None
    labels: dict[str, str | None] = field(default_factory=dict)  # None: has it, whatever its value
    text: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list; ``next`` is the cursor of the part after it."""

    jobs: list[Job]
    next: str | None


@dataclass(frozen=True, slots=True)
class BatchFilter:
    """Which batches a list shows; None and empty mean any. ``text`` is a part of the name."""

    states: frozenset[State] = frozenset()
    org_id: str | None = None
    submitted_by: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Part of a list; ``next`` is the cursor of the part after it."""

    batches: list[Batch]
    next: str | None


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups a list shows; None means any."""

    org_id: str | None = None
    app_version_id: str | None = None
    target: str | None = None


def checked_limit(limit: int, what: str) -> int:
    """How long a page shall be. Raises ``InvalidRequest`` if that is no good length."""
    if not 1 <= limit <= 1000:
        raise InvalidRequest(f"a page has between 1 and 1000 {what}")
    return limit
