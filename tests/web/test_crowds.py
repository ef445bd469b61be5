"""No user takes all of what a server can do at once, and what has ended makes room."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from runyard import Runyard
from runyard.config import Settings
from runyard.domain.job import State
from runyard.domain.user import Role
from runyard.errors import LimitReached
from runyard.execution import logs
from runyard.web import connections, guards, live
from runyard.web.crowds import Crowd
from tests.support.processes import PATIENCE, eventually
from tests.support.serving import Serving, serving
from tests.web.test_connections import connected, head

API = "/api/v1"


@pytest.fixture
def here(home: Path) -> Iterator[Serving]:
    """A server with three streams, two of one user."""
    few = {"RUNYARD_STREAMS": "3", "RUNYARD_STREAMS_PER_USER": "2"}
    with serving(Settings.load(home, environment=few)) as place:
        yield place


def listeners(here: Serving) -> int:
    crowd: Crowd = here.running.app.state.listeners
    return crowd.total


@contextlib.contextmanager
def listening(client: httpx.Client, path: str = f"{API}/events") -> Iterator[httpx.Response]:
    with client.stream("GET", path) as answer:
        lines = answer.iter_lines()  # kept: without it the stream ends
        if answer.status_code == 200:
            assert next(lines) == ": hello"
        else:
            answer.read()
        yield answer


def test_a_share_grows_and_ends() -> None:
    crowd = Crowd("MiB", 3 << 20, 4 << 20, 2.0, 1 << 20)
    mine, more, others = crowd.share("max"), crowd.share("max"), crowd.share("eve")
    mine.raise_to(2 << 20)
    mine.raise_to(1 << 20)
    with pytest.raises(LimitReached, match=r"max may have 3 MiB at once: 2 are, and 2 more would"):
        more.raise_to((1 << 20) + 1)
    more.raise_to(1 << 20)
    with pytest.raises(LimitReached, match="all users may have 4 MiB at once: 3 are") as error:
        others.raise_to(2 << 20)
    assert error.value.retry_after == 2.0
    mine.end()
    mine.end()
    others.raise_to(3 << 20)
    assert crowd.total == 4 << 20


def test_one_user_does_not_take_all_streams(
    here: Serving, member: httpx.Client, stranger: httpx.Client, admin: httpx.Client
) -> None:
    with listening(member), listening(member):
        with listening(member) as refused:
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) > 0
            assert refused.json() == {
                "detail": "max may have 2 streams, waits and downloads at once: 2 are, and 1 more "
                "would be too many"
            }
        assert member.get(f"{API}/jobs").status_code == 200
        with listening(stranger) as one:
            assert one.status_code == 200
            with listening(admin) as refused:
                assert refused.status_code == 429
                assert refused.json()["detail"].startswith("all users may have 3 streams")
    assert eventually(lambda: listeners(here) == 0)
    with listening(member) as again:
        assert again.status_code == 200


def test_followers_and_waits_count_too(here: Serving, member: httpx.Client) -> None:
    job = member.post(f"{API}/jobs", json={"command": ["true"]}).json()["id"]
    with listening(member), listening(member, f"{API}/jobs/{job}/logs?follow=1"):
        refused = member.post(f"{API}/jobs/wait", json={"ids": [job], "seconds": 0})
        assert refused.status_code == 429
        with listening(member, f"{API}/jobs/{job}/logs?follow=1") as follower:
            assert follower.status_code == 429
    eventually(lambda: listeners(here) == 0)
    waited = member.post(f"{API}/jobs/wait", json={"ids": [job], "seconds": 0})
    assert waited.json() == {"total": 1, "left": 1}
    assert listeners(here) == 0


def test_downloads_count_too(here: Serving, member: httpx.Client) -> None:
    """Whoever does not read one has the server hold a piece of it."""
    job = member.post(f"{API}/jobs", json={"command": ["true"]}).json()["id"]
    log = logs.paths(here.settings.home.logs, job, 1).stdout
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"a line\n" * (4 << 20))
    url = f"{API}/jobs/{job}/logs/stdout"
    ask = head(f"GET {url}", f"Authorization: {member.headers['authorization']}")
    with connected(here, small=True) as one, connected(here, small=True) as other:
        for sock in (one, other):
            sock.sendall(ask)
            assert sock.recv(12) == b"HTTP/1.1 200"
        assert member.get(url).status_code == 429
        assert member.head(url).status_code == 429
        assert member.get(f"{url}?tail=7").status_code == 429
    assert eventually(lambda: listeners(here) == 0)
    assert len(member.get(url).content) == 28 << 20


def test_what_does_not_begin_makes_room(here: Serving, member: httpx.Client) -> None:
    for _ in range(3):
        assert member.get(f"{API}/events?job_id=0").status_code == 404
        assert member.post(f"{API}/jobs/wait", json={"ids": ["0"]}).status_code == 404
        assert member.get(f"{API}/jobs/0/logs?follow=1").status_code == 404
    assert listeners(here) == 0


@pytest.mark.parametrize(
    "how", ["closed", "half", "reset", "deaf", "disabled", "revoked", "stopped"]
)
def test_a_listener_that_is_gone_makes_room(
    here: Serving, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", 0.2)
    monkeypatch.setattr(live, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(live, "CHECK_SECONDS", 0.0)
    if how == "deaf":
        monkeypatch.setattr(live, "STILL_HERE", b": " + b"." * (1 << 20) + b"\n\n")
    token = here.user("vic", Role.VIEWER, "acme")
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            sock = stack.enter_context(connected(here, small=True))
            sock.sendall(head(f"GET {API}/events", f"Authorization: Bearer {token}"))
            assert sock.recv(12) == b"HTTP/1.1 200"
            if how == "half":
                sock.shutdown(socket.SHUT_WR)
            elif how == "closed":
                sock.close()
            elif how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                sock.close()
        if how == "disabled":
            here.accounts.disable("vic")
        elif how == "revoked":
            here.accounts.revoke_token(token.split("_")[1])
        elif how == "stopped":
            here.stop()
        assert eventually(lambda: listeners(here) == 0)


def test_a_client_waits_for_its_turn(here: Serving) -> None:
    token = here.user("max")
    with Runyard(url=here.url, token=token) as yard, ThreadPoolExecutor(2) as pool:
        job = yard.submit("true")
        with here.client(token) as client, listening(client), listening(client):
            followed = pool.submit(lambda: list(yard.follow(job)))
            waited = pool.submit(yard.wait, job)
            yard.cancel(job)
            with pytest.raises(TimeoutError):
                waited.result(0.5)
            assert not followed.done()
        assert waited.result(PATIENCE).state is State.CANCELLED
        assert followed.result(PATIENCE) == []


# Long requests.


def begun(token: str, sent: int) -> bytes:
    """The beginning of a long request."""
    length = f"Content-Length: {32 << 20}"
    return head(f"POST {API}/jobs", f"Authorization: {token}", length) + b" " * sent


@pytest.fixture
def bodies(here: Serving, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    """Room for three MiB, two of one user."""
    crowd: Crowd = here.running.app.state.long_bodies
    monkeypatch.setattr(crowd, "_of_one", 2 << 20)
    monkeypatch.setattr(crowd, "_of_all", 3 << 20)
    return crowd


def test_one_user_does_not_fill_the_memory(
    here: Serving,
    bodies: Crowd,
    member: httpx.Client,
    stranger: httpx.Client,
    admin: httpx.Client,
) -> None:
    job = {"command": ["true"], "payload": "x" * (1 << 19)}
    with contextlib.ExitStack() as stack:
        for client, sent in ((member, 1 << 20), (member, 1 << 20), (stranger, 1 << 19)):
            sock = stack.enter_context(connected(here))
            sock.sendall(begun(client.headers["authorization"], sent))
        assert eventually(lambda: bodies.total == 5 << 19)

        for client, name, most in ((member, "max", 2), (admin, "all users", 3)):
            refused = client.post(f"{API}/jobs", json=[job, job])
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) > 0
            assert refused.headers["connection"] == "close"
            detail = refused.json()["detail"]
            assert detail.startswith(f"{name} may have {most} MiB of long requests at once: 2 are")
            assert client.post(f"{API}/jobs", json={"command": ["true"]}).status_code == 202
        assert (
            stranger.post(f"{API}/jobs", json={**job, "payload": "x" * 99_999}).status_code == 202
        )
    assert eventually(lambda: bodies.total == 0)
    assert member.post(f"{API}/jobs", json=[job, job]).status_code == 202
    assert bodies.total == 0


def test_what_is_announced_and_does_not_come_keeps_nobody_out(
    here: Serving, bodies: Crowd, member: httpx.Client
) -> None:
    job = {"command": ["true"], "payload": "x" * (1 << 19)}
    with contextlib.ExitStack() as stack:
        for _ in range(9):
            sock = stack.enter_context(connected(here))
            sock.sendall(begun(member.headers["authorization"], guards.MOST_OF_NOBODY + 1))
        assert eventually(lambda: bodies.total == 9 * (guards.MOST_OF_NOBODY + 1))
        assert member.post(f"{API}/jobs", json=job).status_code == 202


def test_a_request_that_grows_too_much_makes_room(
    here: Serving, bodies: Crowd, member: httpx.Client
) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(guards.MOST_OF_JOBS >> 20):
            yield b" " * (1 << 20)

    assert member.post(f"{API}/jobs", content=endless()).status_code == 429
    assert eventually(lambda: bodies.total == 0)
