"""An org with secrets, and what others might do to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from runyard.store import registry
from runyard.store.registry import WorkerInfo
from runyard.store.schema import metadata
from tests.store.support import claim
from tests.support.serving import Serving
from tests.web.endpoints import SAFE, Endpoint, endpoints

API = "/api/v1"
HUSH = "hush"  # stands in everything that acme does not want others to know

# These look, though they take a body.
LOOKING = {f"POST {API}/jobs/{word}" for word in ("members", "history", "wait")}
# Whoever is known may do these, to themselves and what is their own.
OF_ONESELF = {f"POST {API}/auth/revoke", f"POST {API}/tokens", f"PATCH {API}/users/{{name}}"}
OPEN = {f"GET {API}/health", f"POST {API}/auth/token"}


@dataclass(frozen=True)
class Acme:
    """An org with a job that runs, one that waits, and what belongs to them."""

    ids: dict[str, str]
    running: str

    @property
    def words(self) -> list[str]:
        """What must not be told to others."""
        return [HUSH, self.running, self.ids["job_id"], self.ids["batch_id"]]


@pytest.fixture
def acme(here: Serving, member: httpx.Client) -> Acme:
    places = (("s0", None),)
    here.store.write(lambda tx: registry.sign_on(tx, WorkerInfo("w1", "host", 1, 1, places=places)))
    spec = {
        "name": f"{HUSH}-name",
        "command": ["echo", f"{HUSH}-command"],
        "app_version_id": f"{HUSH}-build",
        "labels": {f"{HUSH}-label": f"{HUSH}-value"},
        "payload": {HUSH: HUSH},
        "env": {"HUSH": HUSH},
        "limit_key": "licence",
        "limit": 1,
    }
    batch = member.post(
        f"{API}/job-batches", json={"name": f"{HUSH}-batch", "jobs": [spec, {**spec, "name": "x"}]}
    ).json()
    (running,) = claim(here.store)
    found = member.get(f"{API}/jobs", params={"batch_id": batch["id"]}).json()["jobs"]
    (waiting,) = [job["id"] for job in found if job["state"] == "queued"]
    group = member.get(f"{API}/groups").json()["groups"][0]["id"]
    template = {"document": {"command": ["echo", HUSH]}}
    assert member.put(f"{API}/templates/{HUSH}-template", json=template).status_code == 200
    schedule = {
        "name": f"{HUSH}-schedule",
        "template": f"{HUSH}-template",
        "cron": "0 0 1 1 *",
        "parameters": {},
    }
    assert member.post(f"{API}/schedules", json=schedule).status_code == 201
    token = member.post(f"{API}/tokens", json={"name": f"{HUSH}-token"}).json()["id"]
    ids = {
        "job_id": waiting,
        "batch_id": batch["id"],
        "group": str(group),
        "templates": f"{HUSH}-template",
        "schedules": f"{HUSH}-schedule",
        "users": "max",
        "token_id": token,
        "device": "s0",
        "stream": "stdout",
        "scope": "org",
        "name": "acme",
    }
    return Acme(ids, running.id)


def invented(ids: dict[str, str]) -> dict[str, str]:
    """Ids of the same form that nothing has."""
    changed = {
        "job_id": "0" * 13,
        "batch_id": "b-" + "0" * 13,
        "group": "987654321",
        "templates": "no-template",
        "schedules": "no-schedule",
        "users": "nobody",
        "token_id": "0" * 16,
        "device": "no-device",
    }
    assert changed.keys() <= ids.keys()
    return {**ids, **changed}


def contents(here: Serving) -> dict[str, list[Any]]:
    """All that the database holds but the record of what was done, and of who came."""
    unimportant = {"audit", "login_failures", "sessions"}
    with here.store.read() as tx:
        return {
            table.name: sorted(
                map(str, tx.conn.execute(select(*(c for c in table.c if c.name != "used_at"))))
            )
            for table in metadata.sorted_tables
            if table.name not in unimportant
        }


def changing(client: httpx.Client) -> Iterator[Endpoint]:
    for endpoint in endpoints(client):
        if endpoint.method not in SAFE and str(endpoint) not in OPEN | LOOKING:
            yield endpoint


def verdict(answer: httpx.Response, ids: dict[str, str]) -> tuple[int, str]:
    """An answer without the ids that were asked for."""
    text = answer.text
    for one in sorted(ids.values(), key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(one)}\b", "ID", text)
    return answer.status_code, text
