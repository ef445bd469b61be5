"""``runyard up`` and ``api`` as processes: when they start, when they refuse, how they end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from runyard.engine.worker import DRAIN_SECONDS
from tests.support.browsing import browser
from tests.support.commands import COMMAND, call, runyard
from tests.support.disks import mounted
from tests.support.processes import are_gone, children_of, eventually, is_alive, started_as
from tests.support.working import WorkerProcess

API = "/api/v1"
SECRET = "RUNYARD_SECRET"


@contextlib.contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], Any]]:
    """A command that serves, and what it said when it was ready."""
    with subprocess.Popen(
        [*COMMAND, *arguments, "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def signed_in(said: Any) -> httpx.Client:
    """An admin's client, by a token made on the command line."""
    (admin,) = call("users", "list", "--json").json["users"]
    named = ("--user", admin["name"], "--name", "test", "--scope", "full")
    made = call("tokens", "create", *named, "--json").json
    headers = {"Authorization": f"Bearer {made['token']}"}
    return httpx.Client(base_url=said["url"] + API, headers=headers, timeout=30)


def workers(home: Path) -> list[int]:
    return started_as("worker", f"RUNYARD_HOME={home}")


# Start.


def test_it_is_ready_soon(home: Path) -> None:
    call("init-db")
    began = time.monotonic()
    with serving("up") as (_, said):
        assert httpx.get(f"{said['url']}{API}/health").status_code == 200
        seconds = time.monotonic() - began
        assert said["url"].startswith("http://127.0.0.1:")
        assert said["login"].startswith(f"{said['url']}/login?link=")
        with browser(said["url"]) as first:
            assert first.follow(said["login"].rpartition("=")[2]).status_code == 303
            assert "Overview" in first.get("/").text
    print(f"ready after {seconds:.2f} s")
    assert seconds < 30  # two on a machine that has time; this one may be busy


def test_a_second_one_on_the_port_says_so(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for command in ("up", "api"):
            said = call(command, "--port", port)
            assert said.code == 2
            assert f"127.0.0.1:{port} cannot be used" in said.sentence
            assert "does a server run there already?" in said.sentence
    assert workers(home) == []


def test_others_reach_it_only_if_somebody_has_a_password(home: Path) -> None:
    for command in ("api", "up"):
        said = runyard(command, "--host", "0.0.0.0", "--port", "0")
        assert said.code == 2
        assert "runyard users add" in said.sentence
    assert call("users", "add", "cy", "--role", "admin", "--no-password").code == 0
    for host in ("0.0.0.0", "::", "", "0"):
        assert call("api", "--host", host, "--port", "0").code == 2
    added = runyard("users", "add", "ada", "--role", "admin", stdin="correct horse\n")
    assert added.code == 0, added.err
    with serving("api", "--host", "0.0.0.0") as (_, found):
        assert found["login"] is None
        assert httpx.get(f"{found['url']}{API}/health").status_code == 200


@pytest.mark.parametrize("secret", ["secret", "x" * 64, "changeme" * 3, "k" * 31])
def test_a_secret_that_can_be_guessed_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv(SECRET, secret)
    for host in ("127.0.0.1", "0.0.0.0"):
        said = call("api", "--host", host, "--port", "0")
        assert said.code == 2
        assert "RUNYARD_SECRET is too easy to guess" in said.sentence
        assert secret not in said.sentence


def test_a_database_that_cannot_be_used_is_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is no database at all" * 100)
    for url in (
        f"sqlite:///{damaged}",
        "sqlite:////nowhere/at/all/runyard.db",
        "postgresql://ann:s3cret@127.0.0.1:1/runyard",
    ):
        monkeypatch.setenv("RUNYARD_DATABASE_URL", url)
        said = call("up", "--port", "0")
        assert said.code != 0
        assert "database" in said.sentence
        assert "s3cret" not in said.err
    assert workers(home) == []


@pytest.mark.parametrize("command", [("up", "--port", "0"), ("api", "--port", "0"), ("init-db",)])
@pytest.mark.parametrize("path", ["file", "file/home", "read-only", "read-only/home"])
def test_a_home_that_cannot_be_used_is_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").touch()
    with mounted(tmp_path / "read-only", "ro") if "only" in path else contextlib.nullcontext():
        monkeypatch.setenv("RUNYARD_HOME", str(tmp_path / path))
        said = call(*command)
    assert said.code == 1
    assert f"the home {tmp_path / path} cannot be used" in said.sentence
    assert "set RUNYARD_HOME to a directory that you may write" in said.sentence


def test_a_home_that_became_read_only_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mounted(tmp_path / "disk", "size=9m") as disk:
        monkeypatch.setenv("RUNYARD_HOME", str(disk))
        assert runyard("init-db").code == 0
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for command in (("up", "--port", "0"), ("submit", "true"), ("list",)):
            said = call(*command)
            assert said.code == 1
            assert said.sentence == f"the home {disk} may not be written; set RUNYARD_HOME"


def test_a_key_that_cannot_be_read_is_one_sentence(home: Path) -> None:
    """And no worker is started in vain."""
    call("init-db")
    (home / "secret").mkdir()
    for command in ("up", "api"):
        said = runyard(command, "--port", "0")
        assert said.code == 1
        assert said.sentence == f"{home / 'secret'}: Is a directory"


# End.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_running_jobs_may_finish(home: Path, tmp_path: Path, number: signal.Signals) -> None:
    gate = tmp_path / "gate"
    with serving("up", "--slots", "1") as (process, said), signed_in(said) as client:
        line = f"until [ -e {gate} ]; do sleep 0.05; done"
        job = client.post("/jobs", json={"command": line}).json()["id"]
        eventually(lambda: client.get(f"/jobs/{job}").json()["state"] == "running")
        process.send_signal(number)
        eventually(lambda: refuses(said["url"]))
        assert is_alive(process.pid)
        gate.touch()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert call("status", job, "--json").json["state"] == "passed"
    assert workers(home) == []


def refuses(url: str) -> bool:
    try:
        httpx.get(f"{url}{API}/health")
    except httpx.TransportError:
        return True
    return False


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_second_signal_gives_running_jobs_back(home: Path, is_closed: bool) -> None:
    """Whether it comes while the server ends or after that."""
    with serving("up", "--slots", "1") as (process, said), signed_in(said) as client:
        job = client.post("/jobs", json={"command": ["sleep", "600"]}).json()["id"]
        eventually(lambda: client.get(f"/jobs/{job}").json()["state"] == "running")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        if is_closed:
            eventually(lambda: refuses(said["url"]))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert time.monotonic() - began < DRAIN_SECONDS
    assert workers(home) == []
    assert call("list", "--json").json["jobs"][0]["state"] == "queued"


def test_killed_it_leaves_no_worker_behind(home: Path, tmp_path: Path) -> None:
    """Its worker finishes what runs, takes nothing more, and goes."""
    gate = tmp_path / "gate"
    with serving("up", "--slots", "1") as (process, said), signed_in(said) as client:
        line = f"until [ -e {gate} ]; do sleep 0.05; done"
        first = client.post("/jobs", json={"command": line}).json()["id"]
        second = client.post("/jobs", json={"command": ["true"]}).json()["id"]
        eventually(lambda: client.get(f"/jobs/{first}").json()["state"] == "running")
        ours = children_of(process.pid)
        process.kill()
        process.wait()
        gate.touch()
        eventually(lambda: are_gone(*ours))
    assert call("status", first, "--json").json["state"] == "passed"
    assert call("status", second, "--json").json["state"] == "queued"


def test_a_worker_that_dies_is_replaced(home: Path) -> None:
    """A job that takes all memory may take the worker with it."""
    with serving("up", "--slots", "1") as (process, said), signed_in(said) as client:
        (worker,) = workers(home)
        os.kill(worker, signal.SIGKILL)
        job = client.post("/jobs", json={"command": ["true"]}).json()["id"]
        eventually(lambda: client.get(f"/jobs/{job}").json()["state"] == "passed")
        (other,) = workers(home)
        assert other != worker
        process.send_signal(signal.SIGTERM)
        assert process.wait(DRAIN_SECONDS) == 0
        assert process.stderr is not None
        assert "the worker ended (SIGKILL): another one takes its place" in process.stderr.read()
    assert workers(home) == []


def test_a_server_puts_in_order_what_a_dead_worker_left(home: Path) -> None:
    with serving("api") as (_, said), signed_in(said) as client:
        with WorkerProcess(slots=1) as worker:
            job = client.post("/jobs", json={"command": ["sleep", "600"]}).json()["id"]
            eventually(lambda: client.get(f"/jobs/{job}").json()["state"] == "running")
            worker.kill()
        eventually(lambda: client.get(f"/jobs/{job}").json()["state"] == "queued")
        seen = [event["kind"] for event in client.get(f"/jobs/{job}/events").json()["events"]]
    assert seen == ["submitted", "claimed", "lost"]


# Secrets.


def test_a_job_and_its_pages_see_no_secret(home: Path) -> None:
    secret = "".join(chr(97 + number * 7 % 26) for number in range(40))
    environment = {SECRET: secret, "RUNYARD_TOKEN": "ryt_secret_secret", "VISIBLE": "yes"}
    with serving("up", "--slots", "1", **environment) as (_, said), signed_in(said) as client:
        job = client.post("/jobs", json={"command": "env; cat /proc/self/cmdline"}).json()["id"]
        eventually(lambda: client.get(f"/jobs/{job}").json()["state"] == "passed")
        seen = client.get(f"/jobs/{job}/logs").json()["stdout"]
        assert "VISIBLE=yes" in seen
        for path in (f"/jobs/{job}", f"/jobs/{job}/events", "/audit", "/workers", "/health"):
            seen += client.get(path).text
    seen += (home / "worker.log").read_text() if (home / "worker.log").exists() else ""
    assert "RUNYARD_SECRET" not in seen
    assert "RUNYARD_DATABASE_URL" not in seen
    assert secret not in seen
    assert "ryt_secret_secret" not in seen
