"""How soon does the API answer, with a long history and with many clients?

The clients are in this process. Figures with a
million jobs stand beside the same with ten thousand, measured in turn.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from statistics import median

from benchmarks import http
from benchmarks.served import Api, served
from benchmarks.support import (
    DATABASES,
    TIMES,
    Bench,
    Figure,
    alternate,
    p95,
    ratio,
    say,
)

SMALL, LARGE = 10_000, 1_000_000
CLIENTS = 20
ONE_CLIENT_MS, MANY_CLIENTS_MS, OVERVIEW_MS = 10.0, 60.0, 150.0
GROWTH = 1.5  # times the same with a small history
BATCH = 1_000
BATCH_MS = 300.0
SUBMITS = 400.0  # jobs per second
LISTENERS = 200
EVENT_MS = 300.0
RATE = 5_000_000  # bytes per second of a log
LINE_MS = 500.0
FALL = 0.8  # of the submits per second without listeners


def run(bench: Bench) -> Iterator[Figure]:
    """Reading with a small and a large history, then writing and listening."""
    large = bench.size(LARGE, LARGE // 10)
    for kind in DATABASES:
        with ExitStack() as stack:
            few = stack.enter_context(served(bench, kind, SMALL))
            many = stack.enter_context(served(bench, kind, large))
            yield from _reading(bench, kind, few, many, large)
            yield from _writing(bench, kind, many)
            yield from _listening(bench, kind, many)
            yield from _following(bench, kind, many)


def _reading(bench: Bench, kind: str, few: Api, many: Api, large: int) -> Iterator[Figure]:
    rounds, each = bench.size(5, 3), bench.size(40, 15)
    for name, path, limit in (
        ("job", f"/api/v1/jobs/{many.some_job}", None),
        ("jobs", "/api/v1/jobs", None),
        ("overview", "/", OVERVIEW_MS),
    ):
        small_path = path.replace(many.some_job, few.some_job)
        for clients, floor in ((1, ONE_CLIENT_MS), (CLIENTS, MANY_CLIENTS_MS)):
            if limit is not None and clients > 1:
                continue
            ask = partial(many.p95, path, clients, each)
            ask_small = partial(few.p95, small_path, clients, each)
            alternate(1, ask, ask_small)  # connects and compiles
            costs, peers = alternate(rounds, ask, ask_small)
            label = f"api {name} {kind}, {clients} client{'s' * (clients > 1)}"
            beside = f"{large:,} jobs; {SMALL:,}: {median(peers):.1f} ms"
            say(f"{label}: p95 {median(costs):.1f} ms with {beside}")
            yield Figure(
                label, median(costs), "ms p95", limit or floor, less_is_better=True, beside=beside
            )
            yield Figure(
                f"{label}, growth",
                ratio(costs, peers),
                f"{TIMES} small history",
                GROWTH,
                less_is_better=True,
            )


def _batch(api: Api) -> float:
    """Milliseconds to accept a batch."""
    jobs = [{"name": f"test-{n}", "command": ["pytest", f"t{n}.py"]} for n in range(BATCH)]
    return api.ask(1, 1, ("POST", "/api/v1/job-batches", {"jobs": jobs}))[0] * 1000


def _submits(api: Api, each: int) -> float:
    """Jobs per second that many clients submit one by one."""
    began = time.perf_counter()
    api.ask(CLIENTS, each, ("POST", "/api/v1/jobs", {"command": ["true"]}))
    return CLIENTS * each / (time.perf_counter() - began)


def _writing(bench: Bench, kind: str, api: Api) -> Iterator[Figure]:
    _batch(api)
    took = median(_batch(api) for _ in range(bench.size(7, 3)))
    yield Figure(f"api batch of {BATCH:,} {kind}", took, "ms", BATCH_MS, less_is_better=True)
    each = bench.size(50, 20)
    speed = median(_submits(api, each) for _ in range(bench.size(5, 3)))
    yield Figure(f"api submits {kind}", speed, "jobs/s", SUBMITS, beside=f"{CLIENTS} clients")


def _listening(bench: Bench, kind: str, api: Api) -> Iterator[Figure]:
    each = bench.size(50, 20)
    reached: list[float] = []
    quiet: list[float] = []
    loud: list[float] = []
    for _ in range(bench.size(3, 2)):
        quiet.append(_submits(api, each))
        late, speed = asyncio.run(_listen(api, each))
        reached += late
        loud.append(speed)
    yield Figure(
        f"api events {kind}",
        p95(reached) * 1000,
        "ms p95",
        EVENT_MS,
        less_is_better=True,
        beside=f"from the submit's answer to {LISTENERS} listeners",
    )
    yield Figure(
        f"api submits beside listeners {kind}",
        ratio(loud, quiet),
        f"{TIMES} without",
        FALL,
        beside=f"{LISTENERS} listeners, {median(loud):,.0f} jobs/s",
    )


async def _listen(api: Api, each: int) -> tuple[list[float], float]:
    """How late each event reached each listener, and how many jobs were submitted a second.

    Lateness is of single submits; the speed is of many clients, while all listen.
    """
    said: dict[str, float] = {}
    came: list[tuple[str, float]] = []
    is_over = asyncio.Event()
    listeners = [asyncio.create_task(_listener(api, came, is_over)) for _ in range(LISTENERS)]
    await asyncio.sleep(1.0)  # all of them have said hello by then
    connection = await http.Connection.open(api.port, api.token)
    for _ in range(10):
        _, answer = await connection.ask("POST", "/api/v1/jobs", {"command": ["true"]})
        said[json.loads(answer)["id"]] = time.perf_counter()
        await asyncio.sleep(0.15)
    await asyncio.sleep(0.5)
    connection.close()
    is_over.set()
    began = time.perf_counter()
    request: http.Request = ("POST", "/api/v1/jobs", {"command": ["true"]})
    await http.latencies(api.port, api.token, CLIENTS, each, lambda _: request)
    speed = CLIENTS * each / (time.perf_counter() - began)
    for listener in listeners:
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    # The event may even be here before the submit's own answer.
    late = [max(0.0, at - said[job]) for job, at in came if job in said]
    if len(late) < LISTENERS * 10:
        raise RuntimeError(f"{len(late)} of {LISTENERS * 10} events arrived")
    return late, speed


async def _listener(api: Api, came: list[tuple[str, float]], is_over: asyncio.Event) -> None:
    """Notes which events came; when that is over, it only listens, as cheaply as it can: what
    two hundred listeners have to do happens on other machines."""
    connection = await http.Connection.open(api.port, api.token)
    connection.writer.write(f"GET /api/v1/events HTTP/1.1\r\n{connection.head}\r\n".encode())
    try:
        await connection.read_head()
        while not is_over.is_set() and (line := await connection.line()):
            if line.startswith(b"data: "):
                came.append((json.loads(line[6:])["job_id"], time.perf_counter()))
        while await connection.reader.read(1 << 20):
            pass
    finally:
        connection.close()


def _following(bench: Bench, kind: str, api: Api) -> Iterator[Figure]:
    with api.worker():
        late = asyncio.run(_follow(api, bench.size(8, 4)))
    yield Figure(
        f"api log follow {kind}",
        p95(late) * 1000,
        "ms p95",
        LINE_MS,
        less_is_better=True,
        beside=f"from write to reader, {len(late):,} of the lines at {RATE / 1e6:.0f} MB/s",
    )


# Writes so many bytes a second, in lines that begin with the time at which they were written.
_WRITER = """
import sys, time
rate, seconds = int(sys.argv[1]), float(sys.argv[2])
began = time.time()
for turn in range(1, int(seconds * 100) + 1):
    line = f"{time.time():.6f} ".ljust(99, "x") + "\\n"
    sys.stdout.write(line * (rate // 100 // 100))
    sys.stdout.flush()
    time.sleep(max(0.0, began + turn / 100 - time.time()))
"""


async def _follow(api: Api, length: float) -> list[float]:
    """How late each line came, one of every piece's ends."""
    command = [sys.executable, "-c", _WRITER, str(RATE), str(length)]
    connection = await http.Connection.open(api.port, api.token)
    _, answer = await connection.ask(
        "POST", "/api/v1/jobs", {"command": command, "priority": "critical"}
    )
    path = f"/api/v1/jobs/{json.loads(answer)['id']}/logs?follow=1"
    connection.writer.write(f"GET {path} HTTP/1.1\r\n{connection.head}\r\n".encode())
    await connection.read_head()
    late: list[float] = []
    while line := await connection.line():
        if line.startswith(b"event: end"):
            break
        if line.startswith(b"data: "):
            came = time.time()
            lines = json.loads(line[6:])["text"].split("\n")[1:-1]
            late += [came - float(one[:17]) for one in lines[:: max(1, len(lines) // 20)]]
    connection.close()
    return late
