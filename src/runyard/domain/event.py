"""Events: the append-only record of what happened, read by audits, pages and notifications."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from runyard.domain.job import Timestamp


class EventKind(StrEnum):
    """What happened to a job; one for each constructor in ``domain.lifecycle``, and refusals."""

    SUBMITTED = "submitted"
    UNBLOCKED = "unblocked"
    PROMOTED = "promoted"
    CLAIMED = "claimed"
    PASSED = "passed"
    FAILED = "failed"
    RETRIED = "retried"  # failed with attempts left: waits for its next one
    LOST = "lost"  # its worker vanished: back in the queue
    SETUP_FAILED = "setup_failed"  # the slot could not be prepared: back in the queue
    RELEASED = "released"  # its worker shut down, or never began it: back in the queue
    PRIORITY = "priority"  # changed by hand
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    REOPENED = "reopened"  # retried by hand
    COMPLETED = "completed"  # declared passed by hand
    REFUSED = "refused"  # a result came from a worker whose lease was over


class Event(BaseModel):
    """One thing that happened. ``seq`` grows; ``attempt`` is the number of the attempt meant."""

    seq: int
    at: Timestamp
    kind: EventKind
    job_id: str
    batch_id: str | None = None
    attempt: int | None = None
    data: dict[str, Any] = Field(default_factory=dict)
