"""How long a job is expected to take: the median of what it took lately.

A median, because one hung run among many must not change it; of the last runs only, so that it
follows a suite that grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

SAMPLES = 15  # runs that count
UNKNOWN_SECONDS = 30.0  # what a job is taken for whose target has no history either
INSTALL_SECONDS = 60.0  # what an install is taken for on a target that has seen none


def with_sample(samples: Sequence[float], seconds: float) -> list[float]:
    """The runs that count after one more; the newest is the last."""
    return [*samples, seconds][-SAMPLES:]


def estimate(samples: Sequence[float]) -> float:
    """Seconds that the next run is expected to take; ``samples`` is not empty."""
    return median(samples)


def or_unknown(expected: float | None) -> float:
    """Seconds to reckon with when there may be no estimate."""
    return UNKNOWN_SECONDS if expected is None else expected
