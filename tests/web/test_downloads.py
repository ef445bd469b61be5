"""Logs as files: whole, and on from where a download broke off."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runyard.execution import logs
from runyard.execution.logs import Flood, mark
from tests.store.support import on_sqlite
from tests.support.processes import eventually
from tests.support.serving import Serving
from tests.web.test_connections import connected, head

pytestmark = on_sqlite
TEXT = b"".join(b"%07d\n" % n for n in range(1 << 19))  # 4 MiB
SIZE = len(TEXT)


@pytest.fixture
def url(member: httpx.Client) -> str:
    job = member.post("/api/v1/jobs", json={"command": ["true"]}).json()
    return f"/api/v1/jobs/{job['id']}/logs/stdout"


@pytest.fixture
def log(here: Serving, url: str) -> Path:
    path = logs.paths(here.settings.home.logs, url.split("/")[4], 1).stdout
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(TEXT)
    return path


def test_the_whole_tells_how_to_go_on(member: httpx.Client, url: str, log: Path) -> None:
    answer = member.get(url)
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert answer.headers["content-length"] == str(SIZE)
    assert answer.headers["accept-ranges"] == "bytes"
    assert "content-range" not in answer.headers
    tag = answer.headers["etag"]
    assert tag.startswith('"')
    asked = member.head(url)
    assert (asked.status_code, asked.content) == (200, b"")
    same = ("content-length", "accept-ranges", "etag", "content-type", "content-disposition")
    assert [asked.headers[name] for name in same] == [answer.headers[name] for name in same]


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=100-199", 100, 200),
        ("Bytes= 100-199", 100, 200),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        (f"bytes=9-{10**17}", 9, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{10**17}", 0, SIZE),
        (f"bytes=1-{SIZE - 2}", 1, SIZE - 1),
    ],
)
def test_a_part_is_a_part(
    member: httpx.Client, url: str, log: Path, wanted: str, start: int, stop: int
) -> None:
    answer = member.get(url, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (206, TEXT[start:stop])
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert answer.headers["content-length"] == str(stop - start)
    asked = member.head(url, headers={"Range": wanted})
    assert (asked.status_code, asked.content) == (206, b"")
    assert asked.headers["content-range"] == answer.headers["content-range"]


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={10**17}-{10**17 + 1}", "bytes=-0"])
def test_what_is_not_there_is_refused(
    member: httpx.Client, url: str, log: Path, wanted: str
) -> None:
    answer = member.get(url, headers={"Range": wanted})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{SIZE}"
    assert answer.json() == {"detail": f"the log has {SIZE} bytes by now"}


@pytest.mark.parametrize(
    "wanted",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=--1",
        "bytes=-1-2",
        "bytes=1-0",
        "bytes=+1-2",
        "bytes=1_0-",
        "bytes=0x1-",
        "bytes=\xb2-",
        "lines=1-2",
        "bytes=0-1,4-5",
        "bytes=" + ",".join(["0-"] * 1000),
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_what_nobody_understands_means_the_whole(
    member: httpx.Client, url: str, log: Path, wanted: str
) -> None:
    answer = member.get(url, headers={"Range": wanted.encode("latin-1")})
    assert (answer.status_code, answer.content) == (200, TEXT)


def test_a_part_of_what_has_changed_is_not_given(member: httpx.Client, url: str, log: Path) -> None:
    tag = member.head(url).headers["etag"]
    part = {"Range": "bytes=8-15", "If-Range": tag}
    assert member.get(url, headers=part).content == TEXT[8:16]
    for other in (f"W/{tag}", '"other"', "Wed, 25 Nov 2026 00:00:00 GMT", "*"):
        assert member.get(url, headers={**part, "If-Range": other}).status_code == 200
    with log.open("ab") as file:
        file.write(b"more\n")
    answer = member.get(url, headers=part)
    assert (answer.status_code, answer.content) == (200, TEXT + b"more\n")
    assert answer.headers["etag"] != tag


def test_a_growing_log_is_gone_on_with(member: httpx.Client, url: str, log: Path) -> None:
    have = b""
    for more in (b"", b"1\n", b"22\n"):
        with log.open("ab") as file:
            file.write(more)
        answer = member.get(url, headers={"Range": f"bytes={len(have)}-"})
        assert answer.status_code == 206
        have += answer.content
    assert have == TEXT + b"1\n22\n"


def test_what_is_written_meanwhile_is_for_the_next_time(
    here: Serving, member: httpx.Client, url: str, log: Path
) -> None:
    log.write_bytes(TEXT * 16)  # more than sockets hold
    token = member.headers["authorization"]
    with connected(here) as sock:
        sock.sendall(head(f"GET {url}", f"Authorization: {token}", "Connection: close"))
        came = sock.recv(1024)
        with log.open("ab") as file:
            file.write(TEXT)
        while data := sock.recv(1 << 20):
            came += data
    assert came.partition(b"\r\n\r\n")[2] == TEXT * 16


def test_who_reads_what_is_dropped_meanwhile_learns_that_it_is_not_whole(
    here: Serving, member: httpx.Client, url: str, log: Path
) -> None:
    log.write_bytes(TEXT * 16)
    token = member.headers["authorization"]
    with connected(here) as sock:
        sock.sendall(head(f"GET {url}", f"Authorization: {token}"))
        came = sock.recv(1024)
        Flood(str(log), SIZE).trim(16 * SIZE)
        while data := sock.recv(1 << 20):
            came += data
    body = came.partition(b"\r\n\r\n")[2]
    assert len(body) < 16 * SIZE
    assert (TEXT * 16).startswith(body)


@pytest.fixture
def with_hole(log: Path) -> Iterator[Path]:
    flood = Flood(str(log), 1 << 20)
    flood.trim(SIZE)
    yield log
    os.close(flood._fd)


def test_a_flood_has_no_parts_until_its_job_has_ended(
    member: httpx.Client, url: str, with_hole: Path
) -> None:
    half = 1 << 19
    told = TEXT[:half] + mark(SIZE - 2 * half) + TEXT[-half:]
    for headers in ({}, {"Range": "bytes=8-15"}):
        answer = member.get(url, headers=headers)
        assert (answer.status_code, answer.content) == (200, told)
        assert answer.headers["accept-ranges"] == "none"
        assert "content-length" not in answer.headers
    assert member.head(url).content == b""

    Flood(str(with_hole), 1 << 20).close_up(SIZE)
    answer = member.get(url, headers={"Range": f"bytes={half - 8}-"})
    assert (answer.status_code, answer.content) == (206, told[half - 8 :])


def test_nothing_has_no_parts(member: httpx.Client, url: str) -> None:
    answer = member.get(url)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "0"
    answer = member.get(url, headers={"Range": "bytes=0-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */0")


def test_the_tail_is_a_tail(member: httpx.Client, url: str, log: Path) -> None:
    answer = member.get(f"{url}?tail=8", headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.content) == (200, TEXT[-8:])
    assert answer.headers["accept-ranges"] == "none"
    assert member.head(f"{url}?tail=8").content == b""


def test_a_part_is_for_those_who_may_see_the_whole(
    member: httpx.Client, stranger: httpx.Client, here: Serving, url: str, log: Path
) -> None:
    part = {"Range": "bytes=0-1"}
    assert stranger.get(url, headers=part).status_code == 404
    assert stranger.head(url).status_code == 404
    with here.client() as nobody:
        assert nobody.head(url).status_code == 401
    assert member.get(url.replace("stdout", "stdin"), headers=part).status_code == 422


def test_downloads_that_were_given_up_leave_nothing_open(
    here: Serving, member: httpx.Client, url: str, log: Path
) -> None:
    def is_open() -> bool:
        return any(Path(fd).resolve() == log.resolve() for fd in Path("/proc/self/fd").iterdir())

    log.write_bytes(TEXT * 16)
    token = member.headers["authorization"]
    for _ in range(5):
        with connected(here, small=True) as sock:
            sock.sendall(head(f"GET {url}", f"Authorization: {token}"))
            assert sock.recv(12) == b"HTTP/1.1 200"
    assert eventually(lambda: not is_open())
