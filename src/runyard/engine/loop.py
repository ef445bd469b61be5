"""One life cycle for everything that happens again and again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from runyard.engine.trouble import Trouble


class Loop:
    """Calls ``work`` in a thread of its own until stopped.

    ``work`` returns the seconds until its next call, or None for the usual ``interval``. Each wait
    is drawn from the last quarter before its end, so that the loops of many workers drift apart.
    An error is told once and the loop goes on: a database that is away comes back.
    """

    def __init__(self, name: str, interval: float, work: Callable[[], float | None]) -> None:
        self._interval = interval
        self._work = work
        self._stopped = threading.Event()
        self._trouble = Trouble(f"the {name} fails: %s", f"the {name} works again")
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first call happens at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the call under way."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            wait = None
            try:
                wait = self._work()
                self._trouble.over()
            except Exception as error:
                self._trouble.met(error)
            pause = self._interval if wait is None else wait
            self._stopped.wait(pause * random.uniform(0.75, 1.0))
