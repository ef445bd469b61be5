"""Time as an argument.

Instants are POSIX seconds (``float``, UTC) everywhere inside Runyard; only JSON and people see
ISO 8601. Pure code takes ``now``; running parts take a ``Clock``.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Two readings of time: of the calendar, and of what really passed."""

    def now(self) -> float:
        """POSIX seconds, UTC; may jump when the host sleeps or is set."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start; never jumps, stands still while the host sleeps."""
        ...


class SystemClock:
    """The clocks of this host."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to; both readings move together unless one jumps."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._wall = start
        self._monotonic = 0.0

    def now(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._wall += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Move the calendar alone, as a laptop that slept sees it."""
        self._wall += seconds


class JumpDetector:
    """Notices that the calendar moved while no time passed: the host slept, or was set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now() - clock.monotonic()

    def seconds(self) -> float:
        """By how much the calendar jumped forward since the last call."""
        before, self._offset = self._offset, self._clock.now() - self._clock.monotonic()
        return self._offset - before


def isoformat(instant: float | None) -> str | None:
    """``1700000000.5`` as ``2023-11-14T22:13:20.500Z``; None stays None."""
    if instant is None:
        return None
    stamp = datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds")
    return stamp.replace("+00:00", "Z")
