"""Interrupts of a run."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable
from typing import Any


class Signals:
    """Hands interrupts to a thread, in which they may take their time."""

    HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, react: Callable[[int, int], None]) -> None:
        """``react`` is told the signal's number and how many there were by then."""
        self.first: int | None = None
        self._react = react
        self._old: dict[int, Any] = {}
        # The one queue that a signal handler may put into.
        self._queue: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="signals", daemon=True)

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def listen(self) -> None:
        """Collect signals from now on; not those that our parent told us to ignore."""
        for number in self.HEARD:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._old[number] = signal.signal(number, self._hear)

    def obey(self) -> None:
        """React to the collected ones and to all that come."""
        self._thread.start()

    def _hear(self, number: int, _: object) -> None:
        self.first = self.first or number
        self._queue.put(number)

    def _work(self) -> None:
        count = 0
        while (number := self._queue.get()) is not None:
            count += 1
            self._react(number, count)
