"""What is sent as it happens: events and growing logs, as server-sent events.

All streams of events of this process share one reader of the database: however many people look on,
it is asked ten times a second at most, and what it finds is put into words once.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from fastapi.responses import StreamingResponse

from runyard.domain.event import EventKind
from runyard.domain.job import Job
from runyard.errors import NotFound, RunyardError
from runyard.execution import logs
from runyard.service.jobs import Jobs
from runyard.store import feed
from runyard.store.database import Store
from runyard.store.feed import Entry

Result = TypeVar("Result")

LOOK_SECONDS = 0.1  # between two looks for events, or at a growing log
CHECK_SECONDS = 10.0  # after which a stream asks again whether it may go on
SILENCE_SECONDS = 15.0  # after which a stream says that it is still there
MOST_BEHIND = 200  # looks that a reader may fall behind before its stream ends
HELLO = b": hello\n\n"
STILL_HERE = b": still here\n\n"
BACKLOG = 5_000  # events read at once for somebody who comes back


async def in_thread(work: Callable[..., Result], *arguments: Any) -> Result:
    """Do something that waits, without keeping others waiting."""
    return await anyio.to_thread.run_sync(functools.partial(work, *arguments))


def stream(pieces: AsyncGenerator[bytes], is_allowed: Callable[[], bool]) -> StreamingResponse:
    """An answer of server-sent events, for as long as whoever asked may see them."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    allowed = _while_allowed(pieces, is_allowed)
    return StreamingResponse(allowed, media_type="text/event-stream", headers=headers)


async def _while_allowed(
    pieces: AsyncGenerator[bytes], is_allowed: Callable[[], bool]
) -> AsyncIterator[bytes]:
    asked = time.monotonic()
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            if time.monotonic() - asked > CHECK_SECONDS:
                if not await in_thread(is_allowed):
                    return
                asked = time.monotonic()
            yield piece


def _message(data: Any, *, event: str | None = None, id: str | None = None) -> bytes:  # noqa: A002
    head = (f"id: {id}\n" if id is not None else "") + (f"event: {event}\n" if event else "")
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events somebody wants; None means any."""

    org: str | None = None
    job_id: str | None = None
    batch_id: str | None = None
    kinds: frozenset[str] = frozenset()

    def fits(self, entry: Entry) -> bool:
        """Whether an event is one of them."""
        return (
            (self.org is None or entry.org_id == self.org)
            and (self.job_id is None or entry.job_id == self.job_id)
            and (self.batch_id is None or entry.batch_id == self.batch_id)
            and (not self.kinds or entry.kind in self.kinds)
        )


@dataclass(slots=True, eq=False)
class _Reader:
    wanted: Wanted
    queue: asyncio.Queue[bytes | None] = field(
        default_factory=lambda: asyncio.Queue(maxsize=MOST_BEHIND)
    )


_ENDS = frozenset(
    {
        EventKind.PASSED,
        EventKind.FAILED,
        EventKind.CANCELLED,
        EventKind.SKIPPED,
        EventKind.COMPLETED,
    }
)


class Ends:
    """Notices which jobs end."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.is_news = asyncio.Event()

    def notice(self, found: Sequence[Entry]) -> None:
        """Take note of what happened."""
        ended = [entry.job_id for entry in found if entry.kind in _ENDS]
        if ended:
            self.seen.update(ended)
            self.is_news.set()


class Newsroom:
    """Reads events while anybody listens, and hands them on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers: set[_Reader] = set()
        self._waiters: set[Ends] = set()
        self._feed: feed.Feed | None = None
        self._task: asyncio.Task[None] | None = None
        self.is_closing = False

    async def listen(self, wanted: Wanted, last: int | None = None) -> AsyncGenerator[bytes]:
        """Messages, from behind the event ``last`` on, or from now on; ends when this process
        does, or when the listener is too slow."""
        reader = _Reader(wanted)
        self._readers.add(reader)
        try:
            begin = await self._start()
            yield HELLO
            if last is not None:
                async for message in self._missed(wanted, last, begin):
                    yield message
            while not self.is_closing:
                message = STILL_HERE
                with anyio.move_on_after(SILENCE_SECONDS):
                    if (got := await reader.queue.get()) is None:
                        return
                    message = got
                yield message
        finally:
            self._readers.discard(reader)

    @contextlib.asynccontextmanager
    async def ends(self) -> AsyncIterator[Ends]:
        """Notice which jobs end from now on, until the block does."""
        ends = Ends()
        self._waiters.add(ends)
        try:
            await self._start()
            yield ends
        finally:
            self._waiters.discard(ends)

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for the end of jobs."""
        return bool(self._waiters)

    async def close(self) -> None:
        """End all streams, and all that wait."""
        self.is_closing = True
        for waiter in self._waiters:
            waiter.is_news.set()
        for reader in self._readers:
            _hand(reader, None)
        if self._task is not None:
            self._task.cancel()

    async def _start(self) -> int:
        """See that somebody reads; returns the last event before what it will hand on."""
        if self._task is None or self._task.done():
            self._feed = await in_thread(feed.start, self._store)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._read())
        assert self._feed is not None
        return self._feed.last

    async def _missed(self, wanted: Wanted, last: int, until: int) -> AsyncIterator[bytes]:
        while last < until:
            found = await in_thread(feed.between, self._store, last, until, BACKLOG)
            if not found:
                return
            last = found[-1].seq
            chosen = [entry for entry in found if wanted.fits(entry)]
            if chosen:
                yield _messages(chosen, None)

    async def _read(self) -> None:
        assert self._feed is not None
        while (self._readers or self._waiters) and not self.is_closing:
            try:
                found = await in_thread(self._feed.read)
            except RunyardError:
                found = []  # the database is away: whoever listens waits for it, too
            self._hand_out(found, self._feed.settled)
            await asyncio.sleep(LOOK_SECONDS)

    def _hand_out(self, found: Sequence[Entry], settled: int) -> None:
        if not found:
            return
        for waiter in self._waiters:
            waiter.notice(found)
        said: dict[Wanted, bytes] = {}
        for reader in list(self._readers):
            if reader.wanted not in said:
                chosen = [entry for entry in found if reader.wanted.fits(entry)]
                said[reader.wanted] = _messages(chosen, settled) if chosen else b""
            if said[reader.wanted]:
                _hand(reader, said[reader.wanted])


def _hand(reader: _Reader, message: bytes | None) -> None:
    """One that is too slow is sent away; it comes back and says what it has seen last."""
    if reader.queue.full():
        while not reader.queue.empty():
            reader.queue.get_nowait()
        message = None
    reader.queue.put_nowait(message)


def _messages(entries: Sequence[Entry], settled: int | None) -> bytes:
    """``id`` is where to go on after an interruption: an event may come into sight after one with
    a higher number, so that it is not always the event's own."""
    return b"".join(
        _message(entry.data(), id=str(entry.seq if settled is None else min(entry.seq, settled)))
        for entry in entries
    )


async def until_ended(
    newsroom: Newsroom, jobs: Jobs, ids: Sequence[str], seconds: float
) -> tuple[int, int]:
    """Until all of the jobs have ended, or the time is over: how many there are, and how many of
    them have not."""
    async with newsroom.ends() as ends:  # before we look: what ends meanwhile is noticed
        total, unfinished = await in_thread(jobs.unfinished, ids)
        left = set(unfinished)
        with anyio.move_on_after(seconds):
            while left := left - ends.seen:
                if newsroom.is_closing:
                    break
                await ends.is_news.wait()
                ends.is_news.clear()
    return total, len(left)


# Logs.


async def follow_logs(
    newsroom: Newsroom, jobs: Jobs, job_id: str, last: str | None
) -> AsyncGenerator[bytes]:
    """What a job writes, attempt after attempt, until it is final: messages ``stdout`` and
    ``stderr`` of an attempt's number, text, and the offset behind it; at last ``end``. Where the
    text is not all that was written, ``base64`` is.

    ``last`` is the id of the last message that was seen: the fence of its attempt, both offsets.
    """
    fence, *offsets = _position(last)
    streams: list[_Stream] = []
    yield HELLO
    silent = 0.0
    while not newsroom.is_closing:
        job = await in_thread(jobs.get, job_id)  # first: what is written before the end comes
        if not fence and job.attempts:
            fence = job.attempts[-1].fence
        now = next((attempt for attempt in job.attempts if attempt.fence == fence), None)
        later = [attempt.fence for attempt in job.attempts if attempt.fence > fence]
        is_over = job.is_final or bool(later)
        if now is not None and not streams:  # else it was given back before it began
            files = jobs.log_paths(job, now.number)
            paths = (("stdout", files.stdout), ("stderr", files.stderr))
            streams = [
                _Stream(name, path, at) for (name, path), at in zip(paths, offsets, strict=True)
            ]
        is_news = False
        for stream in streams:
            while written := await in_thread(stream.read, is_over):
                is_news = True
                where = ".".join(map(str, (fence, *(stream.offset for stream in streams))))
                number = now.number if now else 0
                data = {"attempt": number, **_spelled(written), "next": stream.offset}
                yield _message(data, event=stream.name, id=where)
        if later:
            fence, offsets, streams = later[0], [0, 0], []
            continue
        if is_over:
            yield _message({"state": job.state}, event="end")
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
