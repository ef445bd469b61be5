"""Whoever is slow, or says too much, is sent away, and keeps nobody waiting."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from runyard.domain.user import Role
from runyard.execution import logs
from runyard.web import connections, live
from runyard.web.guards import MOST_OF_JOBS, MOST_OF_NOBODY
from tests.store.support import on_sqlite
from tests.support.processes import PATIENCE, eventually
from tests.support.serving import Serving

pytestmark = on_sqlite
API = "/api/v1"


@contextlib.contextmanager
def connected(here: Serving, small: bool = False) -> Iterator[socket.socket]:
    """A bare connection; a ``small`` one takes little before it is read from."""
    place = urlsplit(here.url)
    with socket.socket() as sock:
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(PATIENCE)
        sock.connect((place.hostname, place.port))
        yield sock


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: runyard", *headers, "", ""]).encode()


def is_ended(sock: socket.socket) -> bool:
    """Waits until the server ends the connection."""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while sock.recv(1 << 16):
            pass
    return True


def still_serves(here: Serving) -> None:
    with here.client() as other:
        assert other.get(f"{API}/health").status_code == 200


@pytest.mark.parametrize(
    ("limit", "begun"),
    [
        ("HEAD_SECONDS", b""),
        ("HEAD_SECONDS", b"GET / HTTP/1.1\r\nX-"),
        ("HEAD_SECONDS", head("GET /nothing") + b"GET / HTTP/1.1\r\n"),
        ("BODY_SECONDS", head(f"POST {API}/auth/token", "Content-Length: 9") + b"us"),
        ("BODY_SECONDS", head(f"POST {API}/jobs", "Transfer-Encoding: chunked") + b"1\r\n["),
    ],
)
def test_who_does_not_come_to_the_point_is_sent_away(
    here: Serving, monkeypatch: pytest.MonkeyPatch, limit: str, begun: bytes
) -> None:
    monkeypatch.setattr(connections, limit, 0.2)
    with connected(here) as sock:
        sock.sendall(begun)
        still_serves(here)
        assert is_ended(sock)


def test_many_who_say_nothing_keep_nobody_waiting(here: Serving) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(300):
            sock = stack.enter_context(connected(here))
            sock.sendall(head(f"POST {API}/jobs", "Content-Length: 99")[: number % 60])
        still_serves(here)


@pytest.mark.parametrize("begun", [b"GET /", b"GET / HTTP/1.1\r\nX-", b"GET / HTTP/1.1\r\n"])
def test_a_head_has_an_end(here: Serving, begun: bytes) -> None:
    more = b"X-A: b\r\n" if begun.endswith(b"\n") else b"a"
    with connected(here) as sock, contextlib.suppress(ConnectionResetError, BrokenPipeError):
        sock.sendall(begun)
        for _ in range(1024):
            sock.sendall(more * (1 << 15))
        pytest.fail("all of it was taken")
    still_serves(here)


def test_what_follows_a_body_has_an_end(here: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_OF_REQUEST", 1 << 20)
    with connected(here) as sock:
        sock.sendall(head(f"POST {API}/jobs", "Transfer-Encoding: chunked") + b"1\r\n[\r\n0\r\n")
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(1024):
                sock.sendall(b"X-Trailer: a\r\n" * (1 << 13))
            pytest.fail("all of it was taken")
    still_serves(here)


# Bodies.


def test_a_request_that_will_be_too_large_is_refused_before_it_comes(
    here: Serving, member: httpx.Client
) -> None:
    with connected(here) as sock:
        sock.sendall(head(f"POST {API}/jobs", f"Content-Length: {10 << 40}"))
        assert sock.recv(4096).startswith(b"HTTP/1.1 413 ")
        assert is_ended(sock)


def test_a_request_that_grows_too_large_is_refused(here: Serving, member: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 2 * MOST_OF_JOBS:
            yield b" " * (1 << 20)
            sent += 1 << 20

    answer = member.post(f"{API}/jobs", content=endless())
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert answer.json() == {"detail": "the request is larger than 32 MiB"}
    assert sent < 2 * MOST_OF_JOBS


@pytest.mark.parametrize("path", ["/jobs", "/job-batches", "/auth/token", "/users"])
def test_of_nobody_little_is_read(here: Serving, path: str) -> None:
    """Nobody in particular must not have us take megabytes of JSON apart."""
    kind = "application/x-www-form-urlencoded" if path == "/auth/token" else "application/json"
    headers = {"Content-Type": kind}
    with here.client() as nobody, here.client("ryt_a_b") as pretender:
        for client in (nobody, pretender):
            body = iter([b"[" * MOST_OF_NOBODY, b"["])
            answer = client.post(f"{API}{path}", content=body, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"


def test_of_somebody_much_is_read(member: httpx.Client) -> None:
    body = [{"command": ["true"], "payload": "x" * (1 << 19)}] * 8
    assert member.post(f"{API}/jobs", content=json.dumps(body)).status_code == 422  # no JSON
    assert member.post(f"{API}/jobs", json=body).status_code == 202


# Who does not read.


def test_who_does_not_read_a_log_is_sent_away(
    here: Serving, member: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", 0.2)
    job = member.post(f"{API}/jobs", json={"command": ["true"]}).json()
    path = logs.paths(here.settings.home.logs, job["id"], 1).stdout
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"a line\n" * (4 << 20))
    token = member.headers["authorization"]
    ask = head(f"GET {API}/jobs/{job['id']}/logs/stdout", f"Authorization: {token}")
    with connected(here, small=True) as sock:
        sock.sendall(ask)
        assert sock.recv(12) == b"HTTP/1.1 200"
        assert is_sent_away(here, member)


def test_who_does_not_read_events_is_sent_away(
    here: Serving, member: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READ_SECONDS", 0.2)
    # Connections inherit it: what the system takes for us is not what this is about.
    here.running._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    jobs = [{"command": ["true"]} for _ in range(1000)]
    assert member.post(f"{API}/job-batches", json={"jobs": jobs}).status_code == 202
    token = member.headers["authorization"]
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            sock = stack.enter_context(connected(here, small=True))
            sock.sendall(head(f"GET {API}/events", f"Authorization: {token}", "Last-Event-ID: 0"))
            assert sock.recv(12) == b"HTTP/1.1 200"
        assert is_sent_away(here, member)


def is_sent_away(here: Serving, *but: httpx.Client) -> bool:
    """Waits until the server has no connections left."""
    for client in but:
        client.close()
    return eventually(lambda: not here.running.server_state.connections)


def test_a_stream_ends_when_its_user_may_not_see_it_any_more(
    here: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(live, "SILENCE_SECONDS", 0.1)
    token = here.user("vic", Role.VIEWER, "acme")
    with here.client(token) as client, client.stream("GET", f"{API}/events") as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": hello"
        here.accounts.disable("vic")
        assert all(line in ("", ": still here") for line in lines)
