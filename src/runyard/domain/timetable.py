"""A schedule: a template that is run at times of the calendar."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, Field

from runyard.domain.job import Timestamp

LABEL = "schedule"  # which all jobs that one submitted have, with its name
MOST_AT_ONCE = 100  # runs that ``Missed.ALL`` makes up for; the oldest are left out
ON_TIME = 300.0  # seconds by which a run may be late without having been missed


class Missed(StrEnum):
    """What becomes of runs that were due while nobody worked."""

    SKIP = "skip"  # nothing
    ONCE = "once"  # one run makes up for all of them
    ALL = "all"  # each is made up for


class Overlap(StrEnum):
    """What becomes of a run that is due while the last one is not over."""

    SKIP = "skip"  # it is left out
    ALLOW = "allow"  # it is submitted all the same
    REPLACE = "replace"  # the last one is cancelled, and it is submitted


class Schedule(BaseModel):
    """One of an org. Instants are POSIX seconds in Python; ``next_at`` is None while it is paused;
    ``last_batch`` is what was submitted at ``last_due``, and ``last_error`` why nothing was."""

    id: int
    org_id: str
    name: str
    template: str
    cron: str
    timezone: str = "UTC"
    parameters: dict[str, str] = Field(default_factory=dict)
    missed: Missed = Missed.ONCE
    overlap: Overlap = Overlap.SKIP
    created_by: str = ""
    created_at: Timestamp = None
    paused_at: Timestamp = None
    next_at: Timestamp = None
    last_due: Timestamp = None
    last_batch: str | None = None
    last_error: str | None = None

    @property
    def is_paused(self) -> bool:
        """Whether it waits for somebody to resume it."""
        return self.paused_at is not None
