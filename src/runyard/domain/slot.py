"""A slot: one place of a target, and its health."""

from __future__ import annotations

from enum import StrEnum


class SlotState(StrEnum):
    """Whether a slot may run jobs."""

    READY = "ready"
    DRAINING = "draining"  # somebody asked it to take no more; until it is resumed
    QUARANTINED = "quarantined"  # infrastructure failed on it; until its check passes


FAILURES_ALLOWED = 1  # distinct jobs in a row that infrastructure may fail on a slot


AVOID_SECONDS = 60.0  # for so long a job waits for another slot than those that failed it


def failures_after(failures: list[int], job: int) -> list[int]:
    """The jobs that infrastructure failed on a slot in a row, after one more."""
    return [*failures, job] if job not in failures else failures


def is_quarantined_by(failures: list[int]) -> bool:
    """Whether the slot rather than one odd job is to blame: several different ones failed."""
    return len(failures) > FAILURES_ALLOWED
