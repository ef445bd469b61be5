"""What is sent as it happens, as server-sent events.

All streams of events of this process share one reader of the database: however many people look on,
it is asked ten times a second at most, and what it finds is put into words once.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from runyard.domain.event import EventKind
from runyard.errors import RunyardError
from runyard.service.jobs import Jobs
from runyard.store import feed
from runyard.store.database import Store
from runyard.store.feed import Entry
from runyard.web.crowds import Crowd

Result = TypeVar("Result")

LOOK_SECONDS = 0.1  # between two looks for events, or at a growing log
MANY = 200  # listeners, from which on it is twice that: a round costs as much as there are of them
CHECK_SECONDS = 10.0  # after which a stream asks again whether it may go on
SILENCE_SECONDS = 15.0  # after which a stream says that it is still there
MOST_BEHIND = 200  # looks that a reader may fall behind before its stream ends
HELLO = b": hello\n\n"
STILL_HERE = b": still here\n\n"
BACKLOG = 5_000  # events read at once for somebody who comes back


async def in_thread(work: Callable[..., Result], *arguments: Any) -> Result:
    """Do something that waits, without keeping others waiting."""
    return await anyio.to_thread.run_sync(functools.partial(work, *arguments))


class Stream(StreamingResponse):
    """An answer of server-sent events, for as long as whoever asked may see them, and one of the
    ``crowd`` that listens. Raises ``LimitReached`` before it begins."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes],
        is_allowed: Callable[[], bool],
        crowd: Crowd,
        whose: str,
    ) -> None:
        super().__init__(
            _while_allowed(pieces, is_allowed),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self._crowd = crowd
        self._whose = whose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not by the pieces, which nobody may ask for the first: then they do not end either.
        with self._crowd.joined(self._whose):
            await super().__call__(scope, receive, send)


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


def message(data: Any, *, event: str | None = None, id: str | None = None) -> bytes:  # noqa: A002
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


class Watch:
    """Notices what happens from now on: which jobs are concerned, and that there is news."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self.jobs: set[str] = set()
        self.is_news = asyncio.Event()

    def notice(self, found: Sequence[Entry]) -> None:
        """Take note of what happened."""
        concerned = {entry.job_id for entry in found if self._wanted.fits(entry)}
        if concerned:
            self.jobs |= concerned
            self.is_news.set()


class Newsroom:
    """Reads events while anybody listens, and hands them on."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers: set[_Reader] = set()
        self._watches: set[Watch] = set()
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
                async for piece in self._missed(wanted, last, begin):
                    yield piece
            while not self.is_closing:
                piece = STILL_HERE
                with anyio.move_on_after(SILENCE_SECONDS):
                    if (got := await reader.queue.get()) is None:
                        return
                    piece = got
                yield piece
        finally:
            self._readers.discard(reader)

    @contextlib.asynccontextmanager
    async def watch(self, wanted: Wanted) -> AsyncIterator[Watch]:
        """Notice what happens from now on, until the block ends."""
        watch = Watch(wanted)
        self._watches.add(watch)
        try:
            await self._start()
            yield watch
        finally:
            self._watches.discard(watch)

    @property
    def is_watched(self) -> bool:
        """Whether somebody waits for what happens, or follows a log."""
        return bool(self._watches)

    async def close(self) -> None:
        """End all streams, and all that wait."""
        self.is_closing = True
        for watch in self._watches:
            watch.is_news.set()
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
        while (self._readers or self._watches) and not self.is_closing:
            try:
                found = await in_thread(self._feed.read)
            except RunyardError:
                found = []  # the database is away: whoever listens waits for it, too
            self._hand_out(found, self._feed.settled)
            await asyncio.sleep(LOOK_SECONDS * (1 + min(1.0, len(self._readers) / MANY)))

    def _hand_out(self, found: Sequence[Entry], settled: int) -> None:
        if not found:
            return
        for watch in self._watches:
            watch.notice(found)
        said: dict[Wanted, bytes] = {}
        for reader in list(self._readers):
            if reader.wanted not in said:
                chosen = [entry for entry in found if reader.wanted.fits(entry)]
                said[reader.wanted] = _messages(chosen, settled) if chosen else b""
            if said[reader.wanted]:
                _hand(reader, said[reader.wanted])


def _hand(reader: _Reader, piece: bytes | None) -> None:
    """One that is too slow is sent away; it comes back and says what it has seen last."""
    if reader.queue.full():
        while not reader.queue.empty():
            reader.queue.get_nowait()
        piece = None
    reader.queue.put_nowait(piece)


def _messages(entries: Sequence[Entry], settled: int | None) -> bytes:
    """``id`` is where to go on after an interruption: an event may come into sight after one with
    a higher number, so that it is not always the event's own."""
    return b"".join(
        message(entry.data(), id=str(entry.seq if settled is None else min(entry.seq, settled)))
        for entry in entries
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


async def until_ended(
    newsroom: Newsroom, jobs: Jobs, ids: Sequence[str], seconds: float
) -> tuple[int, int]:
    """Until all of the jobs have ended, or the time is over: how many there are, and how many of
    them have not."""
    async with newsroom.watch(Wanted(kinds=_ENDS)) as ended:  # before we look: misses nothing
        total, unfinished = await in_thread(jobs.unfinished, ids)
        left = set(unfinished)
        with anyio.move_on_after(seconds):
            while left := left - ended.jobs:
                if newsroom.is_closing:
                    break
                await ended.is_news.wait()
                ended.is_news.clear()
    return total, len(left)
