"""The worker beside a server."""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import click

from runyard import bootstrap
from runyard.config import Settings

PAUSES = (1.0, 60.0)  # seconds before another worker is started: the first, and the longest
STEADY_SECONDS = 60.0  # after which a worker that ended had nothing wrong with it from the start

Start = Callable[[int], "subprocess.Popen[bytes]"]


@contextlib.contextmanager
def worker_beside(
    settings: Settings, arguments: Sequence[str], config_path: str | None
) -> Iterator[WorkerBeside]:
    """A worker that lives as long as the block, and drains when it ends, or when we are killed."""

    def start(told: int) -> subprocess.Popen[bytes]:
        return bootstrap.start_worker(
            settings,
            [*arguments, "--while-open", str(told)],
            config_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(told,),
        )

    its, ours = os.pipe()
    with open(its, "rb", buffering=0) as told, open(ours, "wb", buffering=0) as pipe:
        beside = WorkerBeside(start, told, pipe)
        try:
            yield beside
        finally:
            beside.wait()


class WorkerBeside:
    """A worker of ours; if it dies, as when a job took all memory, another one takes its place.

    The first byte in its pipe, or the end of the pipe, means to it what a first signal does, the
    second byte what a second does: so none is lost, whatever we do then. One that no worker has
    read is there for the next one."""

    def __init__(self, start: Start, told: io.RawIOBase, pipe: io.RawIOBase) -> None:
        self._start = start
        self._told = told
        self._pipe = pipe
        self._is_told = False
        self._process = start(told.fileno())
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def tell(self) -> None:
        """To drain; the second time, to give back what runs."""
        self._is_told = True
        with contextlib.suppress(ValueError):  # waited for
            self._pipe.write(b".")

    def wait(self) -> None:
        """Until it has drained."""
        if not self._is_told:
            self.tell()
        self._keeper.join()

    def _keep(self) -> None:
        pause = PAUSES[0]
        while True:
            began = time.monotonic()
            code = self._process.wait()
            if self._is_told:
                return
            if time.monotonic() - began > STEADY_SECONDS:
                pause = PAUSES[0]
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            with contextlib.suppress(OSError, ValueError):  # nobody may read what we say
                click.echo(f"the worker ended ({how}): another one takes its place", err=True)
            if self._told_within(pause):
                return
            pause = min(pause * 2, PAUSES[1])
            with contextlib.suppress(OSError):  # no memory for one: once more after the next pause
                self._process = self._start(self._told.fileno())

    def _told_within(self, seconds: float) -> bool:
        select.select([self._told], [], [], seconds)  # no worker is there to read it before us
        return self._is_told
