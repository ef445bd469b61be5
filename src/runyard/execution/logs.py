"""Log files: where they are, how a flood is kept small, how they are read.

A job writes straight into its files. While a stream is longer than its limit, the middle is given
back to the disk by punching a hole, so the job is never slowed and the disk never filled; when the
job has ended, the file is closed up around a mark that says what is missing.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import re
import stat
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

STREAM_LIMIT = 64 << 20  # bytes kept of one stream by default
_BLOCK = 4096
_CHUNK = 1 << 20
_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01


@dataclass(frozen=True, slots=True)
class LogPaths:
    """The two files of one attempt."""

    stdout: Path
    stderr: Path


def stem(root: Path, job_id: str, fence: int, step: str = "") -> Path:
    """How the files of an attempt, or of a step that prepared it, begin; spread over directories
    by the id's first characters. By its fence, since no two claims ever write into one file."""
    return root / job_id[:2] / (f"{job_id}.{fence}.{step}" if step else f"{job_id}.{fence}")


def paths(root: Path, job_id: str, fence: int, step: str = "") -> LogPaths:
    """Where an attempt's output is kept."""
    start = stem(root, job_id, fence, step)
    return LogPaths(Path(f"{start}.out"), Path(f"{start}.err"))


def delete(root: Path, job_id: str) -> None:
    """Delete the logs of all attempts of a job, which is gone by now. What may not be deleted, as
    by a server that only reads what workers write, stays."""
    for path in (root / job_id[:2]).glob(f"{job_id}.*"):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s stays: %s", path, error.strerror)


def mark(dropped: int) -> bytes:
    """The line that stands where output was dropped."""
    return b"\n[runyard: %d bytes dropped here]\n" % dropped


_MARK = re.compile(rb"\n\[runyard: (\d+) bytes dropped here\]\n")
_LONGEST_MARK = len(mark(1 << 63))


def _head(limit: int) -> int:
    """How much of a stream's beginning is kept; whole blocks, since only such can be given back."""
    return max(limit // 2 // _BLOCK * _BLOCK, _BLOCK)


class Flood:
    """Keeps a stream that is being written within ``limit`` bytes: its first half and its last."""

    def __init__(self, path: str, limit: int = STREAM_LIMIT) -> None:
        self._head = _head(limit)
        self._tail = max(limit - self._head, _BLOCK)
        self._punched = self._head  # everything between the head and here is gone
        # A descriptor of its own: the job's appends, and Linux appends also what is written to
        # a given position of such a one.
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def trim(self, size: int) -> None:
        """Give back the middle of a stream that is ``size`` bytes long by now."""
        end = (size - self._tail) // _BLOCK * _BLOCK
        if end > self._punched and _punch(self._fd, self._punched, end - self._punched):
            self._punched = end

    def close_up(self, size: int) -> None:
        """Once nobody writes any more: move the tail behind the head and a mark between them."""
        try:
            dropped = size - self._head - self._tail
            if dropped > len(mark(dropped)):
                self._move_tail(size, mark(dropped))
        finally:
            os.close(self._fd)

    def _move_tail(self, size: int, text: bytes) -> None:
        position, source = self._head + len(text), size - self._tail
        while chunk := os.pread(self._fd, min(_CHUNK, size - source), source):
            source += len(chunk)
            position += os.pwrite(self._fd, chunk, position)
        # The mark tells readers that the tail has moved, so it must have by then.
        os.pwrite(self._fd, text, self._head)
        os.ftruncate(self._fd, position)


def _punch(fd: int, offset: int, length: int) -> bool:
    """Give a range back to the disk. False where the system cannot: the stream is then only cut
    when its job has ended."""
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return False
    fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    while fallocate(fd, _PUNCH_HOLE_KEEP_SIZE, offset, length) != 0:
        if ctypes.get_errno() != errno.EINTR:
            return False
    return True


class Spares:
    """Log files that stayed empty, kept for the attempts to come.

    To make a file and delete it again is dear where it happens a thousand times a second: ext4
    looks for a file number that was not given back lately. A spare has nobody left who could write
    into it, and keeps its old name until it gets a new one, so whoever dies leaves no litter but
    an empty log.
    """

    MOST = 64

    def __init__(self) -> None:
        self._kept: list[tuple[str, int]] = []

    def keep(self, path: str, fd: int) -> None:
        """Take over an empty file that is open for appending."""
        if len(self._kept) < self.MOST:
            self._kept.append((path, fd))
        else:
            discard(path, fd)

    def take(self, path: str) -> int | None:
        """A spare under a new name; None if there is none, or its name cannot be had."""
        if not self._kept:
            return None
        old, fd = self._kept.pop()
        try:
            os.rename(old, path)
        except OSError:
            if os.path.exists(old):  # the directory is not there yet
                self._kept.append((old, fd))
            else:
                os.close(fd)
            return None
        return fd

    def clear(self) -> None:
        """Delete what is left."""
        while self._kept:
            discard(*self._kept.pop())


def discard(path: str, fd: int) -> None:
    """Close and delete an empty log file."""
    os.close(fd)
    with contextlib.suppress(OSError):
        os.unlink(path)


def _open(path: Path) -> int | None:
    """Open a stream for reading; None if there is nothing in it.

    An empty file may become another attempt's, whose output must not be taken for this one's: what
    has something in it and still has this name is not such a one. Nor is what a job may have put
    in its place: a link, which might lead to what only we may read; a pipe, which would keep us.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
    found = os.fstat(fd)
    try:
        is_file = stat.S_ISREG(found.st_mode) and found.st_size
        if is_file and os.path.samestat(found, os.lstat(path)):
            return fd
    except FileNotFoundError:
        pass
    os.close(fd)
    return None


def read(path: Path) -> bytes:
    """All that is kept of a stream; empty if it never was. A hole reads as a mark."""
    return b"".join(stretches(path))


def tail(path: Path, most: int) -> bytes:
    """The end of a stream: at most so many bytes, and a mark for a hole among them."""
    return b"".join(stretches(path, most))


def piece(path: Path, offset: int, limit: int) -> tuple[bytes, int, int]:
    """At most ``limit`` bytes of a stream from ``offset`` on, the offset behind them, and how long
    the stream is by now. A hole reads as a mark, however little was asked for."""
    fd = _open(path)
    if fd is None:
        return b"", offset, 0
    try:
        found = _read_on(fd, offset)
        size = os.fstat(fd).st_size
    finally:
        os.close(fd)
    if found is None:
        return b"", offset, size
    after, data = found
    if after - offset == len(data):  # not a mark
        data = data[:limit]
        after = offset + len(data)
    return data, after, size


class Whole:
    """A stream without a hole, as long as it was when it was opened; ``tag`` is another whenever
    there is another text."""

    def __init__(self, fd: int | None) -> None:
        # As a file, which closes itself however little of it is ever read.
        self._file = None if fd is None else os.fdopen(fd, "rb", buffering=0)
        found = None if fd is None else os.fstat(fd)
        self.size = found.st_size if found else 0
        self.tag = f"{found.st_mtime_ns:x}-{found.st_size:x}" if found else "0-0"

    def read(self, asked: range) -> Generator[bytes]:
        """Part of it, piece by piece. Raises ``OSError`` if it has gone meanwhile, as the middle of
        a flood does, and what was begun cannot be ended."""
        at = asked.start
        while self._file is not None and at < asked.stop:
            data = os.pread(self._file.fileno(), min(_CHUNK, asked.stop - at), at)
            if not data or _next_hole(self._file.fileno(), at) < at + len(data):
                raise OSError(f"the log was cut behind byte {at} while it was read")
            at += len(data)
            yield data


def whole(path: Path) -> Whole | None:
    """A stream to be read in parts; None if there is a hole in it."""
    fd = _open(path)
    if fd is None:
        return Whole(None)
    size = os.fstat(fd).st_size  # first: its end counts as a hole, and moves
    if _next_hole(fd, 0) < size:
        os.close(fd)
        return None
    return Whole(fd)


def stretches(path: Path, most: int | None = None) -> Generator[bytes]:
    """All that is kept of a stream, or its last bytes, piece by piece."""
    fd = _open(path)
    if fd is None:
        return
    try:
        position = 0 if most is None else max(0, os.fstat(fd).st_size - most)
        while stretch := _read_on(fd, position):
            position, data = stretch
            yield data
    finally:
        os.close(fd)


def _read_on(fd: int, position: int) -> tuple[int, bytes] | None:
    """The next piece at or behind ``position`` and the position after it; None at the end."""
    while True:
        start = _next_data(fd, position)
        if start is None:
            return None
        if start > position:
            return start, mark(start - position)
        data = os.pread(fd, _CHUNK, position)
        hole = _next_hole(fd, position)
        if hole > position:
            data = data[: hole - position]
            return (position + len(data), data) if data else None
        # It was punched since we found data there.


def _next_data(fd: int, position: int) -> int | None:
    if not hasattr(os, "SEEK_DATA"):
        return position
    try:
        return os.lseek(fd, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole, or nothing at all, until the end
            return None
        raise


def _next_hole(fd: int, position: int) -> int:
    if not hasattr(os, "SEEK_HOLE"):
        return position + _CHUNK
    try:
        return os.lseek(fd, position, os.SEEK_HOLE)
    except OSError as error:
        if error.errno == errno.ENXIO:  # the file was cut short of here just now
            return position
        raise


class Tail:
    """Reads on in a stream that may still grow, and may be closed up meanwhile. ``limit`` is the
    one under which it is written."""

    def __init__(self, path: Path, limit: int = STREAM_LIMIT, position: int = 0) -> None:
        self._path = path
        self._head = _head(limit)
        self._position = position
        self._is_closed_up = False

    @property
    def position(self) -> int:
        """Where the next read begins; another ``Tail`` may go on from there."""
        return self._position

    def read(self) -> bytes:
        """What was added since the last call, at most a piece; empty if nothing was."""
        fd = _open(self._path)
        if fd is None:
            self._position = 0  # if there was something, the job itself has begun the file anew
            return b""
        try:
            self._follow_move(fd)
            return self._read_on(fd)
        finally:
            os.close(fd)

    def _read_on(self, fd: int) -> bytes:
        start = self._position
        self._position, data = _read_on(fd, start) or (start, b"")
        if self._position - start != len(data):
            return data  # a mark in place of a hole
        if start < self._head:  # stops there, to see what stands there
            data = data[: self._head - start]
            self._position = start + len(data)
        elif start == self._head and _MARK.match(data):
            self._is_closed_up = True
        return data

    def _follow_move(self, fd: int) -> None:
        """If the stream was closed up since the last call, go where its tail has gone."""
        if self._position > self._head and not self._is_closed_up:
            found = _MARK.match(os.pread(fd, _LONGEST_MARK, self._head))
            if found:
                self._is_closed_up = True
                is_dropped = self._position < self._head + int(found[1])
                moved_by = int(found[1]) - len(found[0])
                self._position = self._head if is_dropped else self._position - moved_by
        if os.fstat(fd).st_size < self._position:
            self._position = 0  # the job itself has begun the file anew
