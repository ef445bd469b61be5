"""Times of the calendar, as cron names them; the only importer of the library that reads them.

Clocks that are changed are treated as Debian's cron does: what is due at an hour of its own that
is left out runs right after the change, and what is due in an hour that comes twice runs once;
what is due every hour, or every few minutes, goes by the time that really passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from itertools import islice
from zoneinfo import ZoneInfo

from runyard.errors import InvalidRequest

FIELDS = 5  # minute, hour, day of month, month, day of week
LONGEST = 200  # characters
HOUR = 3600.0


@dataclass(frozen=True)
class Cron:
    """An expression in a time zone. Instants are POSIX seconds."""

    expression: str
    timezone: str = "UTC"

    def check(self, now: float) -> None:
        """Raises ``InvalidRequest`` for what is no expression, no time zone, or never due."""
        if len(self.expression) > LONGEST or len(self.expression.split()) != FIELDS:
            raise InvalidRequest(
                f"{self.expression[:LONGEST]!r} is no cron expression: it has five fields, minute "
                "hour day month weekday, such as '0 2 * * *'"
            )
        if self.next_after(now) is None:
            raise InvalidRequest(f"{self.expression!r} is never due")

    def next_after(self, instant: float) -> float | None:
        """When it is due next; None if never."""
        return next(self.after(instant), None)

    def after(self, instant: float) -> Iterator[float]:
        """All instants behind one, in order."""
        from cronsim import CronSim, CronSimError

        last = instant
        try:
            for due in CronSim(self.expression, datetime.fromtimestamp(instant, self._zone)):
                # Of an hour that comes twice the library means the first, also in the second; and
                # several times that are left out are all due when the clock has been changed.
                if (found := due.timestamp()) > last:
                    yield found
                    last = found
        except CronSimError as error:
            raise InvalidRequest(f"{self.expression!r} is no cron expression: {error}") from None

    def latest(self, since: float, until: float, most: int) -> list[float]:
        """The last ``most`` instants from ``since`` to ``until``, both included, in order."""
        span = HOUR
        while True:
            begin = max(since, until - span)
            found = self._between(begin, until)
            if len(found) >= most or begin <= since:
                return found[-most:]
            span *= 4  # an hour of years that nobody worked is looked at, not all of them

    def _between(self, since: float, until: float) -> list[float]:
        found = []
        for due in self.after(since - 1.0):  # they are whole minutes
            if due > until:
                break
            if due >= since:
                found.append(due)
        return found

    def upcoming(self, instant: float, count: int) -> list[datetime]:
        """The next instants, as the clocks of the time zone show them."""
        return [
            datetime.fromtimestamp(due, self._zone) for due in islice(self.after(instant), count)
        ]

    @cached_property
    def _zone(self) -> tzinfo:
        if self.timezone.upper() == "UTC":
            return UTC
        try:
            return ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise InvalidRequest(
                f"there is no time zone {self.timezone[:100]!r}; they are called as Europe/Prague"
            ) from None
