"""Why a job is where it is."""

from __future__ import annotations

from pydantic import BaseModel, Field

from runyard.domain.job import Job, State, Timestamp


class Cause(BaseModel):
    """A job that another one waits for, or was skipped because of."""

    id: str
    name: str
    state: State


class Explanation(BaseModel):
    """``code`` for programs, ``text`` for people.

    Of a queued job, ``ahead`` is the number of jobs that start before it where it can run, and
    ``starts_at`` when it is expected to start, between ``earliest`` and ``latest``: instants, None
    if nobody can know. ``held_by`` names the jobs that fill a limit, or the slots that hold its
    group.
    """

    id: str
    state: State
    code: str
    text: str
    ahead: int | None = None
    starts_at: Timestamp = None
    earliest: Timestamp = None
    latest: Timestamp = None
    held_by: list[str] = Field(default_factory=list)
    waits_for: list[Cause] = Field(default_factory=list)


def say(job: Job, code: str, text: str) -> Explanation:
    """An explanation of a job as it is."""
    return Explanation(id=job.id, state=job.state, code=str(code), text=text)
