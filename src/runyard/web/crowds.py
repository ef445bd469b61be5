"""How much of something may be under way at once, of one user and of all.

What lasts, or is large, is cheap once and dear a thousand times: whoever is known could keep all
others out with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from runyard.errors import LimitReached


class Crowd:
    """Counts what is under way, on the event loop. ``what`` names it in a sentence, in ``unit`` of
    what is counted; who is refused may come back after ``retry_after`` seconds."""

    def __init__(
        self, what: str, of_one: int, of_all: int, retry_after: float, unit: int = 1
    ) -> None:
        self._what = what
        self._of_one = of_one
        self._of_all = of_all
        self._retry_after = retry_after
        self._unit = unit
        self._held: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How much is under way."""
        return self._held.total()

    def share(self, whose: str) -> Share:
        """What one request of somebody holds of it: nothing yet."""
        return Share(self, whose)

    @contextmanager
    def joined(self, whose: str) -> Iterator[None]:
        """One more of somebody's, until the block ends. Raises ``LimitReached``."""
        share = self.share(whose)
        share.raise_to(1)
        try:
            yield
        finally:
            share.end()

    def add(self, whose: str, amount: int) -> None:
        """Raises ``LimitReached``, and adds nothing, if it is too much."""
        for name, held, most in (
            (whose, self._held[whose], self._of_one),
            ("all users", self.total, self._of_all),
        ):
            if held + amount > most:
                raise LimitReached(
                    f"{name} may have {most // self._unit} {self._what} at once: "
                    f"{held // self._unit} are, and {-(-amount // self._unit)} more would be too "
                    "many",
                    self._retry_after,
                )
        self._held[whose] += amount

    def take_away(self, whose: str, amount: int) -> None:
        """Something has ended."""
        self._held[whose] -= amount
        if not self._held[whose]:
            del self._held[whose]


class Share:
    """What one request holds."""

    def __init__(self, crowd: Crowd, whose: str) -> None:
        self._crowd = crowd
        self._whose = whose
        self._amount = 0

    def raise_to(self, amount: int) -> None:
        """It has become so much; less than before changes nothing. Raises ``LimitReached``."""
        if amount > self._amount:
            self._crowd.add(self._whose, amount - self._amount)
            self._amount = amount

    def end(self) -> None:
        """It is over."""
        self._crowd.take_away(self._whose, self._amount)
        self._amount = 0
