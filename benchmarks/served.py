"""A server with a long history: ``runyard api``, a process of its own, on a full database."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import http
from benchmarks.filled import ORGS, fill
from benchmarks.support import Bench, Place, p95, program, say, seconds
from runyard import bootstrap
from runyard.domain.user import Role, TokenScope
from runyard.store.database import Store


@dataclass(frozen=True, slots=True)
class Api:
    """A running server, and the store behind it."""

    place: Place
    port: int
    token: str
    cookie: str
    store: Store
    some_job: str

    def p95(self, path: str, clients: int, each: int) -> float:
        """Milliseconds that 95 of 100 answers do not exceed."""
        return p95(self.ask(clients, each, ("GET", path, None))) * 1000

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker on the same home, which first works off what waits."""
        process = subprocess.Popen(
            [program("runyard"), "worker", "--slots", "2"],
            env=self.place.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def ask(self, clients: int, each: int, request: http.Request) -> list[float]:
        """Seconds of every answer to so many clients."""
        return asyncio.run(
            http.latencies(self.port, self.token, clients, each, lambda _: request, self.cookie)
        )


@contextmanager
def served(bench: Bench, kind: str, count: int) -> Iterator[Api]:
    """A server on a database with so many jobs."""
    with bench.place(kind) as place:
        store = bootstrap.open_store(place.settings)
        accounts = bootstrap.accounts(place.settings, store)
        accounts.add("bench", Role.ADMIN, ORGS[0])
        _, token = accounts.create_token("bench", TokenScope.FULL, user="bench")
        link = accounts.login_link("bench")
        cookie = bootstrap.sign_in(place.settings, store).by_link(link, "bench").refresh_token
        ids: list[str] = []
        taken = seconds(lambda: ids.append(fill(store, count)))
        say(f"{kind}: {count:,} jobs saved in {taken:.0f} s")
        with _server(place) as port:
            yield Api(place, port, token, cookie, store, ids[0])


@contextmanager
def _server(place: Place) -> Iterator[int]:
    process = subprocess.Popen(
        [program("runyard"), "api", "--port", "0", "--json"],
        # All of its clients have one token, and new ones come while old ones leave.
        env={**place.environment, "RUNYARD_STREAMS_PER_USER": "1000"},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()
