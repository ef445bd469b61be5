"""The standard streams of a command, which others may close, fill or stop reading."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from runyard.errors import RunyardError


def prepare() -> None:
    """Make sure that all three are there and take any text. What was written to a stream that
    somebody closed before us, nobody reads."""
    # Where one is closed, the next file we open would take its place: output meant for a terminal
    # must not end up in a socket or a log.
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - lives as long as we do
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle() -> None:
    """Write what is still buffered; Python's own attempt at its exit would change the exit code
    if nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """The exit code stays true when whoever read our output has seen enough."""
    try:
        yield
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        # Python would complain again at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise RunyardError(f"the output cannot be written: {error.strerror}") from None
