"""The Python clients of somebody who signed in by name; a file has what ``login`` keeps."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from runyard import AsyncRunyard, Runyard, config
from runyard.client import credentials, signing
from runyard.domain.user import Role
from runyard.errors import NotAuthenticated
from tests.support.serving import PASSWORD, Serving


@pytest.fixture
def path(place: Serving) -> Path:
    place.user("ada", Role.ADMIN)
    path = config.credentials_path()
    credentials.keep(path, signing.by_password(place.url, "ada", PASSWORD))
    return path


def test_it_is_found_and_nobody_else_can_read_it(place: Serving, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(path.parent.glob(".*"))
    with Runyard(url=place.url) as yard:
        assert yard.submit(["true"]).submitted_by == "ada"


def test_it_is_renewed_before_its_end(place: Serving, path: Path) -> None:
    age(path)
    before = credentials.read(path)
    with Runyard(url=place.url) as yard:
        yard.list()
    after = credentials.read(path)
    assert before
    assert after
    assert after.refresh_token != before.refresh_token
    assert (after.expires_at or 0) > time.time() + 60


def test_one_that_is_refused_is_renewed(place: Serving, path: Path) -> None:
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "token": kept["token"][:-3] + "xxx"}))
    with Runyard(url=place.url) as yard:
        assert yard.list().jobs == []


def test_of_many_who_renew_one_does(place: Serving, path: Path) -> None:
    """A refresh token is good once: a second trade would end the session."""
    age(path)
    clients = [Runyard(url=place.url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert [page.jobs for page in pool.map(lambda yard: yard.list(), clients)] == [[]] * 6
    for client in clients:
        client.close()


def test_a_session_that_is_over_says_so(place: Serving, path: Path) -> None:
    kept = credentials.read(path)
    assert kept
    signing.out(kept, path)
    with Runyard(url=place.url) as yard, pytest.raises(NotAuthenticated, match="sign in"):
        yard.list()


def age(path: Path) -> None:
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "expires_at": time.time() - 1}))


def test_requests_of_one_event_loop_take_turns(place: Serving, path: Path) -> None:
    """Whoever waits for the one who renews must not hold the loop in which that goes on."""

    async def ask() -> None:
        async with AsyncRunyard(url=place.url) as yard:
            await asyncio.gather(*(yard.list() for _ in range(6)))

    age(path)
    before = credentials.read(path)
    asyncio.run(ask())
    assert credentials.read(path) != before


@pytest.mark.parametrize("is_refused", [True, False])
@pytest.mark.parametrize("is_safe", [True, False])
def test_a_server_that_is_away_when_it_is_renewed_is_waited_for(
    place: Serving, path: Path, monkeypatch: pytest.MonkeyPatch, is_safe: bool, is_refused: bool
) -> None:
    """A proxy says so; what was to be asked has not been sent, or was refused."""
    app = place.running.app
    whole = app.middleware_stack
    left = [1]

    async def away(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/api/v1/auth/token" or not left[0]:
            await whole(scope, receive, send)
            return
        left[0] -= 1
        await send({"type": "http.response.start", "status": 502, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with Runyard(url=place.url) as yard:
        job = yard.cancel(yard.submit(["true"]))[0]
    if is_refused:
        kept = json.loads(path.read_text())
        path.write_text(json.dumps({**kept, "token": kept["token"][:-3] + "xxx"}))
    else:
        age(path)
    monkeypatch.setattr(app, "middleware_stack", away)
    with Runyard(url=place.url) as yard:
        assert yard.get(job).id if is_safe else yard.retry(job)
    assert left == [0]
