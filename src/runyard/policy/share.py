"""Fair share: what has been used counts less the longer ago it was."""

from __future__ import annotations

import math

HALF_LIFE = 3600.0  # seconds after which usage counts half


def decayed(seconds: float, age: float) -> float:
    """What usage of ``age`` seconds ago still counts."""
    return seconds * math.exp2(-max(0.0, age) / HALF_LIFE)
