"""The launcher: a small process that starts a worker's attempts, watches them and ends them.

It is apart from the worker for three reasons. It stays alive, and kills every attempt, when the
worker is killed, stopped or cannot renew its leases in time: a lease is a deadline here, and
nothing outlives it. It is a warm Python that forks for each snippet. And its starting and reaping
of processes run beside the worker's database work.

One thread, one selector, no library beyond the standard one. Run as
``python -m runyard.execution.launcher FD`` with ``FD`` a socket to the worker.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from runyard.execution import ledger, strays, wire
from runyard.execution.attempt import GRACE, SPARES, STAMP, Attempt, NotStarted
from runyard.execution.snippet import Snippet

TICK = 0.1  # seconds between looks at the streams of running attempts
OPEN_FILES = 8192  # each attempt takes up to five


class Forked(BaseException):
    """Raised in a forked child, so that the snippet runs with nothing of the launcher below it."""

    def __init__(self, snippet: Snippet) -> None:
        super().__init__()
        self.snippet = snippet


class Launcher:
    """All running attempts, and what may happen next to each."""

    def __init__(
        self,
        worker: socket.socket,
        book: ledger.Ledger,
        stream_limit: int,
        allowed: Sequence[str] = (),
    ) -> None:
        self._worker = worker
        self._lines = wire.Lines(worker)
        self._ledger = book
        self._stream_limit = stream_limit
        self._allowed = allowed
        self._running: dict[str, Attempt] = {}
        self._at: dict[int, str] = {}  # by slot, what runs on it
        self._next: dict[int, deque[wire.Run]] = {}  # by slot, what begins when that has ended
        self._leaders: set[int] = set()
        self._exited: list[Attempt] = []  # whose trees may still use their grace
        self._ended: list[wire.End] = []
        self._unsent = b""
        self._lease_until: float | None = None
        self._next_tick = 0.0
        self._has_strays = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(worker, selectors.EVENT_READ, None)
        self._leaving = False

    def run(self) -> None:
        """Serve the worker until it says stop or is gone; leave no process behind."""
        while self._running or self._unsent or not self._leaving:
            for key, _ in self._selector.select(self._patience()):
                if key.data is None:
                    self._listen()
                else:
                    self._on_exit(key.data)
            self._watch(time.monotonic())
            self._report()
        strays.end_all()
        SPARES.clear()

    def _listen(self) -> None:
        for message in self._lines.receive():
            for verb, argument in message.items():
                getattr(self, f"_on_{verb}")(argument)
        if self._lines.closed:
            # Nobody can take our results any more, and somebody else will run these jobs again.
            self._selector.unregister(self._worker)
            self._unsent = b""
            self._leaving = True
            self._next.clear()
            for attempt in self._running.values():
                attempt.end("lost", grace=0.0)

    def _on_start(self, runs: list[list[Any]]) -> None:
        for fields in runs:
            run = wire.Run(*fields)
            if run.slot in self._at:
                self._next.setdefault(run.slot, deque()).append(run)
            else:
                self._begin(run)

    def _begin(self, run: wire.Run) -> None:
        try:
            attempt = Attempt.start(run, self._stream_limit, self._leaders, self._allowed)
        except NotStarted as error:
            self._ended.append(wire.End(run.key, "not_started", detail=str(error)))
            self._begin_next(run.slot)
            return
        if attempt is None:
            self._selector.close()
            self._worker.detach()  # or its number is closed under a file of the snippet's
            raise Forked(Snippet(run, STAMP))
        self._at[run.slot] = run.key
        self._running[run.key] = attempt
        self._ledger.enter(run.slot, attempt.pid, run.key)
        self._selector.register(attempt.exit_fd, selectors.EVENT_READ, attempt)

    def _begin_next(self, slot: int) -> None:
        if waiting := self._next.get(slot):
            self._begin(waiting.popleft())

    def _drop(self, cause: str, keys: Collection[str] | None = None) -> None:
        """End attempts that have not begun: all of them, or those of ``keys``."""
        for slot, waiting in self._next.items():
            dropped = [run for run in waiting if keys is None or run.key in keys]
            self._ended += [wire.End(run.key, cause) for run in dropped]
            self._next[slot] = deque(run for run in waiting if run not in dropped)

    def _on_drop(self, keys: list[str]) -> None:
        self._drop("released", keys)

    def _on_kill(self, wanted: list[list[str]]) -> None:
        for key, cause in wanted:
            self._drop(cause, [key])
            if attempt := self._running.get(key):
                # Somebody else may run what is not ours any more: it gets no grace.
                attempt.end(cause, 0.0 if cause == "fenced" else GRACE)

    def _on_lease(self, until: float) -> None:
        self._lease_until = until

    def _on_stop(self, grace: float) -> None:
        self._leaving = True
        self._drop("released")
        for attempt in self._running.values():
            attempt.end("released", grace)

    def _on_exit(self, attempt: Attempt) -> None:
        self._selector.unregister(attempt.exit_fd)
        self._exited.append(attempt)

    def _collect(self, now: float) -> None:
        lingering, free = [], []
        for attempt in self._exited:
            if attempt.is_lingering(now):
                lingering.append(attempt)
                continue
            del self._running[attempt.key], self._at[attempt.slot]
            self._ended.append(attempt.collect())
            self._ledger.leave(attempt.slot)
            free.append(attempt.slot)
        self._exited = lingering
        for slot in free:
            self._begin_next(slot)

    def _watch(self, now: float) -> None:
        """Whatever is due by the clock: timeouts, kills, floods, the lease."""
        if self._is_fenced(now):  # first of all: what waits must not begin after the lease
            self._drop("fenced")
            for attempt in self._running.values():
                attempt.end("fenced", grace=0.0)
        self._collect(now)
        if now >= self._next_tick:
            self._next_tick = now + TICK
            self._has_strays = strays.sweep(self._running, self._leaders)
            for attempt in self._running.values():
                attempt.look(now)

    def _is_fenced(self, now: float) -> bool:
        return self._lease_until is not None and now >= self._lease_until

    def _patience(self) -> float | None:
        """Seconds until something is due; None while nothing runs."""
        if not self._running and not self._has_strays:
            return None
        now = time.monotonic()
        due = self._next_tick
        if self._lease_until is not None and not self._is_fenced(now):
            due = min(due, self._lease_until)
        return max(0.0, due - now)

    def _report(self) -> None:
        """Send what ended, without ever waiting for a worker that does not read: the clocks of
        what still runs must be watched meanwhile."""
        if self._lines.closed:
            return
        if self._ended:
            self._unsent += wire.encode({"ended": self._ended})
            self._ended = []
        if self._unsent:
            was_waiting = self._selector.get_key(self._worker).events != selectors.EVENT_READ
            self._unsent = self._unsent[wire.send_some(self._worker, self._unsent) :]
            if bool(self._unsent) != was_waiting:
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
                self._selector.modify(self._worker, wanted, None)


def main() -> None:
    """Serve the socket given as the first argument. Then come the ledger's path, the limit of a
    stream's bytes, and the directories in which jobs may begin, if not in any."""
    # The worker decides what an interrupt at the terminal means.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)
    # As whoever started the worker may have left them: ignored, children would vanish unseen.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _allow_open_files(OPEN_FILES)
    worker = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(worker.fileno(), False)
    book = ledger.Ledger(Path(sys.argv[2]))
    strays.adopt()
    gc.freeze()  # a snippet's collections need not look at what it shares with us
    try:
        Launcher(worker, book, int(sys.argv[3]), sys.argv[4:]).run()
    except Forked as forked:
        snippet = forked.snippet
    else:
        return
    snippet.run()


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    main()
