"""How soon are pages there, with a long history, a large batch, and many who follow a log?

The server is ``runyard api``, a process of its own. Figures with a million jobs and a batch of ten
thousand stand beside the same with a hundredth and a quarter of them, measured in turn.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import median

from benchmarks import http
from benchmarks.filled import graph
from benchmarks.served import Api, served
from benchmarks.support import DATABASES, TIMES, Bench, Figure, alternate, ratio, say

SMALL, LARGE = 10_000, 1_000_000
FEW_MEMBERS, MEMBERS = 2_500, 10_000  # both have more than a timeline or a graph shows
PAGE_MS = 150.0
GROWTH = 1.5  # times the same with a small history and batch
FOLLOWERS = 200
BESIDE = 3.0  # times the same without followers


def run(bench: Bench) -> Iterator[Figure]:
    """Pages, and a job's own beside followers of another one's log."""
    for kind in DATABASES:
        with ExitStack() as stack:
            few = stack.enter_context(served(bench, kind, SMALL))
            many = stack.enter_context(served(bench, kind, bench.size(LARGE, LARGE // 10)))
            yield from _pages(bench, kind, few, many)
            yield from _beside_followers(bench, kind, few)


def _pages(bench: Bench, kind: str, few: Api, many: Api) -> Iterator[Figure]:
    rounds, each = bench.size(5, 3), bench.size(100, 40)
    small, large = graph(few.store, FEW_MEMBERS), graph(many.store, MEMBERS)
    for name, path, small_path in (
        ("batch", f"/batches/{large}", f"/batches/{small}"),
        ("timeline", f"/batches/{large}?view=timeline", f"/batches/{small}?view=timeline"),
        ("graph", f"/batches/{large}?view=graph", f"/batches/{small}?view=graph"),
        ("failed jobs", "/jobs?state=failed&target=local", "/jobs?state=failed&target=local"),
        ("job", f"/jobs/{many.some_job}", f"/jobs/{few.some_job}"),
    ):
        ask, ask_small = partial(many.p95, path, 1, each), partial(few.p95, small_path, 1, each)
        alternate(1, ask, ask_small)  # connects and compiles
        costs, peers = alternate(rounds, ask, ask_small)
        label = f"page {name} {kind}"
        beside = f"small: {median(peers):.1f} ms"
        say(f"{label}: p95 {median(costs):.1f} ms; {beside}")
        yield Figure(label, median(costs), "ms p95", PAGE_MS, less_is_better=True, beside=beside)
        # What these two show is chosen among all members.
        most = None if name in ("graph", "timeline") else GROWTH
        growth = ratio(costs, peers)
        yield Figure(f"{label}, growth", growth, f"{TIMES} small", most, less_is_better=True)


def _beside_followers(bench: Bench, kind: str, api: Api) -> Iterator[Figure]:
    each = bench.size(200, 100)
    ask = partial(api.p95, f"/api/v1/jobs/{api.some_job}", 1, each)
    with api.worker():
        job = asyncio.run(_silent(api))
        costs, peers = [], []
        for _ in range(bench.size(5, 3)):
            peers.append(ask())
            with _followers(api, job):
                costs.append(ask())
        asyncio.run(_cancel(api, job))
    yield Figure(
        f"api job beside {FOLLOWERS} followers {kind}",
        ratio(costs, peers),
        f"{TIMES} without",
        BESIDE,
        less_is_better=True,
        beside=f"p95 {median(costs):.1f} and {median(peers):.1f} ms, of a job that writes nothing",
    )


async def _silent(api: Api) -> str:
    """A job that runs and writes nothing more."""
    connection = await http.Connection.open(api.port, api.token)
    asked = {"command": ["sh", "-c", "echo begun; exec sleep 3600"], "priority": "critical"}
    _, answer = await connection.ask("POST", "/api/v1/jobs", asked)
    job: str = json.loads(answer)["id"]
    follower = await _follow(api, job)
    await _begun(follower)
    follower.close()
    connection.close()
    return job


async def _cancel(api: Api, job: str) -> None:
    connection = await http.Connection.open(api.port, api.token)
    await connection.ask("DELETE", f"/api/v1/jobs/{job}")
    connection.close()


@contextmanager
def _followers(api: Api, job: str) -> Iterator[None]:
    """People who read the log of a job, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    connections = asyncio.run_coroutine_threadsafe(_all(api, job), loop).result()
    try:
        yield
    finally:
        for connection in connections:
            loop.call_soon_threadsafe(connection.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _all(api: Api, job: str) -> list[http.Connection]:
    """As many connections as there are followers, each of which has got what there is."""
    connections = [await _follow(api, job) for _ in range(FOLLOWERS)]
    for connection in connections:
        await _begun(connection)
    return connections


async def _begun(follower: http.Connection) -> None:
    while b"begun" not in (line := await follower.line()):
        if not line:
            raise ConnectionError("the server ended a log that somebody follows")


async def _follow(api: Api, job: str) -> http.Connection:
    connection = await http.Connection.open(api.port, api.token)
    path = f"/api/v1/jobs/{job}/logs?follow=1"
    connection.writer.write(f"GET {path} HTTP/1.1\r\n{connection.head}\r\n".encode())
    await connection.read_head()
    return connection
