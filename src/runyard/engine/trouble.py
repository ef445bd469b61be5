"""Trouble that lasts: told when it begins and when it is over, not at every attempt in between."""

from __future__ import annotations

import logging

log = logging.getLogger("runyard")


class Trouble:
    """One thing that is tried again and again. ``begun`` is the sentence for an error, with a place
    for it; ``ended`` is the one for when it works again."""

    def __init__(self, begun: str, ended: str) -> None:
        self._begun = begun
        self._ended = ended
        self._kind: type[Exception] | None = None

    def met(self, error: Exception) -> None:
        """It failed. Told if it worked before, or failed for another kind of reason."""
        if type(error) is not self._kind:
            self._kind = type(error)
            log.warning(self._begun, error)

    def over(self) -> None:
        """It worked."""
        if self._kind is not None:
            self._kind = None
            log.warning(self._ended)
