"""Whoever looks on while a worker works."""

from __future__ import annotations

from collections.abc import Sequence

from runyard.store.claim import Claim
from runyard.store.finish import Finished


class Observer:
    """Told what a worker does, from its thread, after each commit. Override what matters."""

    def started(self) -> None:
        """The worker is on the list: from here on, should it die, others adopt its pool."""

    def claimed(self, claims: Sequence[Claim]) -> None:
        """These attempts start now."""

    def finished(self, finished: Finished) -> None:
        """These moves were made."""

    def is_done(self) -> bool:
        """Whether the worker may leave though nobody told it to."""
        return False
