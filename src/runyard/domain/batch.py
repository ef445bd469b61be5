"""A batch: jobs submitted together, with counters that are always true."""

from __future__ import annotations

from pydantic import BaseModel

from runyard.domain.job import State, Timestamp

MOST_JOBS = 100_000  # made by the matrices of one batch, or sent to a server as one
MOST_TOGETHER = 10_000  # submitted at once and no batch: all of them are told
LONGEST_NAME = 300  # characters
LONGEST_DESCRIPTION = 10_000


class Batch(BaseModel):
    """Counters of a batch. ``seconds`` is wall time since submission, to the end once it is over.

    ``total == passed + failed + skipped + cancelled + running + waiting`` at every moment.
    """

    id: str
    name: str = ""
    description: str = ""
    org_id: str = "default"
    submitted_by: str = ""
    state: State
    total: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    cancelled: int = 0
    running: int = 0
    waiting: int = 0
    seconds: float = 0.0
    submitted_at: Timestamp = None
    finished_at: Timestamp = None

    @property
    def is_final(self) -> bool:
        """Whether every member is."""
        return self.running == 0 and self.waiting == 0


def state_of(passed: int, failed: int, cancelled: int, running: int, waiting: int) -> State:
    """One word for a batch: running until all is over, then the worst of what happened."""
    if running or (waiting and (passed or failed or cancelled)):
        return State.RUNNING
    if waiting:
        return State.QUEUED
    if failed:
        return State.FAILED
    return State.CANCELLED if cancelled else State.PASSED
