"""What a job writes, sent as it is written."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path

from runyard.domain.job import Attempt, Job
from runyard.errors import NotFound
from runyard.execution import logs
from runyard.execution.logs import LogPaths
from runyard.service.jobs import Jobs
from runyard.web.live import (
    HELLO,
    LOOK_SECONDS,
    SILENCE_SECONDS,
    STILL_HERE,
    Newsroom,
    Wanted,
    in_thread,
    message,
)


async def follow_logs(
    newsroom: Newsroom, jobs: Jobs, job_id: str, last: str | None
) -> AsyncGenerator[bytes]:
    """What a job writes, attempt after attempt, until it is final: messages ``stdout`` and
    ``stderr`` of an attempt's number, text, and the offset behind it; at last ``end``. Where the
    text is not all that was written, ``base64`` is.

    ``last`` is the id of the last message that was seen: the fence of its attempt, both offsets.
    """
    fence, *offsets = _position(last)
    output: _Output | None = None
    yield HELLO
    silent = 0.0
    async with newsroom.watch(Wanted(job_id=job_id)) as watch:
        job = await in_thread(jobs.get, job_id)
        while not newsroom.is_closing:
            if watch.is_news.is_set():  # first: what is written before the end comes
                watch.is_news.clear()
                job = await in_thread(jobs.get, job_id)
            if not fence and job.attempts:
                fence = job.attempts[-1].fence
            now = next((attempt for attempt in job.attempts if attempt.fence == fence), None)
            later = [attempt.fence for attempt in job.attempts if attempt.fence > fence]
            is_over = job.is_final or bool(later)
            if now is not None and output is None:  # else it was given back before it began
                output = _Output(now, jobs.log_paths(job, now.number), offsets)
            is_news = False
            while output and (written := await in_thread(output.read, is_over)):
                is_news = True
                yield written
            if later:
                fence, offsets, output = later[0], [0, 0], None
                continue
            if is_over:
                yield message({"state": job.state}, event="end")
                return
            silent = 0.0 if is_news else silent + LOOK_SECONDS
            if silent > SILENCE_SECONDS:
                yield STILL_HERE
                silent = 0.0
            await asyncio.sleep(LOOK_SECONDS)


def position(job: Job, attempt: int, out: int, err: int) -> str:
    """Where in the output of an attempt to begin, as the id of a last message."""
    fences = {one.number: one.fence for one in job.attempts}
    if attempt not in fences:
        raise NotFound(f"job {job.id} has no attempt {attempt}")
    return f"{fences[attempt]}.{out}.{err}"


def _position(last: str | None) -> list[int]:
    numbers = (last or "").split(".")
    if len(numbers) != 3 or not all(n.isascii() and n.isdigit() and len(n) < 18 for n in numbers):
        return [0, 0, 0]
    return [int(number) for number in numbers]


class _Output:
    """What an attempt writes, as messages."""

    def __init__(self, attempt: Attempt, files: LogPaths, offsets: Sequence[int]) -> None:
        self._attempt = attempt
        self._streams = [
            _Stream("stdout", files.stdout, offsets[0]),
            _Stream("stderr", files.stderr, offsets[1]),
        ]

    def read(self, is_over: bool) -> bytes:
        """What was added, at most a piece of each stream; empty if nothing was."""
        return b"".join(self._read(is_over))

    def _read(self, is_over: bool) -> Iterator[bytes]:
        for stream in self._streams:
            if written := stream.read(is_over):
                at = (self._attempt.fence, *(stream.offset for stream in self._streams))
                number, behind = self._attempt.number, stream.offset
                data = {"attempt": number, **_spelled(written), "next": behind}
                yield message(data, event=stream.name, id=".".join(map(str, at)))


class _Stream:
    """A growing log; a character is not cut in two."""

    def __init__(self, name: str, path: Path, offset: int) -> None:
        self.name = name
        self._tail = logs.Tail(path, position=offset)
        self._rest = b""  # the beginning of a character

    @property
    def offset(self) -> int:
        """Where to go on behind what was read."""
        return self._tail.position - len(self._rest)

    def read(self, is_over: bool) -> bytes:
        """What was added, at most a piece; empty if nothing was."""
        fresh = self._tail.read()
        data = self._rest + fresh
        cut = _cut(data)
        if is_over and (not fresh or cut == len(data)):
            cut = 0  # the rest of it will not come
        self._rest = data[len(data) - cut :]
        return data[: len(data) - cut]


def _spelled(written: bytes) -> dict[str, str]:
    """Bytes for JSON."""
    try:
        return {"text": written.decode()}
    except UnicodeDecodeError:
        exact = base64.b64encode(written).decode()
        return {"text": written.decode(errors="replace"), "base64": exact}


def _cut(data: bytes) -> int:
    """How many bytes at the end are the beginning of a character that is not all there."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if length > back else 0
    return 0
