"""kill -9 of the API while many submit: what was acknowledged is there, and nothing is twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx

from runyard import Runyard, bootstrap
from runyard.config import Settings
from runyard.domain.listing import JobFilter
from runyard.domain.user import Role, TokenScope

SUBMITTERS = 50
EACH = 8  # jobs
ENOUGH = 100  # acknowledgments after which it is killed, in the middle


class Api:
    """``runyard api`` in a process of its own."""

    def __init__(self, settings: Settings, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runyard", "api", "--port", str(port), "--json"],
            env={**os.environ, **settings.environment()},
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        self.url: str = json.loads(self.process.stdout.readline())["url"]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self.process.stdout
        self.process.stdout.close()


class Tally:
    """Who was told what; ``enough`` is set in the middle."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, str] = {}  # name: id
        self.enough = threading.Event()

    def note(self, name: str, job_id: str) -> None:
        self.acknowledged[name] = job_id
        if len(self.acknowledged) >= ENOUGH:
            self.enough.set()


def token_for(settings: Settings) -> str:
    store = bootstrap.open_store(settings)
    try:
        accounts = bootstrap.accounts(settings, store)
        accounts.add("ci", Role.MEMBER)
        return accounts.create_token("test", TokenScope.SUBMIT, user="ci")[1]
    finally:
        store.close()


def saved(settings: Settings) -> list[tuple[str, str]]:
    """The names and ids of all jobs."""
    store = bootstrap.open_store(settings)
    try:
        jobs, found, cursor = bootstrap.jobs(settings, store), [], None
        while True:
            page = jobs.page(JobFilter(), 1000, cursor)
            found += [(job.name, job.id) for job in page.jobs]
            if (cursor := page.next) is None:
                return found
    finally:
        store.close()


def all_names() -> list[list[str]]:
    return [[f"{n}-{m}" for m in range(EACH)] for n in range(SUBMITTERS)]


def test_of_jobs_submitted_once_the_acknowledged_exist_and_none_twice(
    home: Path, store_url: str
) -> None:
    settings = Settings.load(home, store_url)
    token, tally = token_for(settings), Tally()
    asked: set[str] = set()

    with Api(settings) as api:

        def submit(names: list[str]) -> None:
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=api.url, headers=headers, timeout=60) as client:
                for name in names:
                    asked.add(name)
                    try:
                        answer = client.post(
                            "/api/v1/jobs", json={"name": name, "command": ["true"]}
                        )
                    except httpx.TransportError:
                        return
                    assert answer.status_code == 202
                    tally.note(name, answer.json()["id"])

        with ThreadPoolExecutor(SUBMITTERS) as pool:
            done = [pool.submit(submit, names) for names in all_names()]
            assert tally.enough.wait(100)
            api.kill()
            for one in done:
                one.result()

    found = saved(settings)
    assert set(tally.acknowledged.items()) <= set(found)
    assert {name for name, _ in found} <= asked
    assert max(Counter(name for name, _ in found).values()) == 1
    assert ENOUGH <= len(tally.acknowledged) < SUBMITTERS * EACH


def test_clients_that_ask_again_have_each_job_once(home: Path, store_url: str) -> None:
    settings = Settings.load(home, store_url)
    token, tally = token_for(settings), Tally()

    with Api(settings) as api:

        def submit(names: list[str]) -> None:
            with Runyard(url=api.url, token=token) as yard:
                for name in names:
                    tally.note(name, yard.submit(["true"], name=name).id)

        with ThreadPoolExecutor(SUBMITTERS) as pool:
            done = [pool.submit(submit, names) for names in all_names()]
            assert tally.enough.wait(100)
            api.kill()
            with Api(settings, api.port):
                for one in done:
                    one.result()

    found = saved(settings)
    assert len(tally.acknowledged) == SUBMITTERS * EACH
    assert sorted(found) == sorted(tally.acknowledged.items())
