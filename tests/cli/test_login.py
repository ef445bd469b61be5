"""``runyard login`` and ``logout``, and what stays on this machine."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard import config
from runyard.config import Settings
from runyard.domain.user import Role
from tests.support.commands import call, runyard
from tests.support.serving import PASSWORD, Serving, serving


@pytest.fixture
def place(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """A server; nothing in the environment names a home, as with most people."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with serving(Settings.load()) as place:
        place.user("ada", Role.ADMIN)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        monkeypatch.delenv("RUNYARD_HOME")
        yield place


def test_commands_go_where_somebody_signed_in(place: Serving) -> None:
    said = runyard("login", place.url + "/", "--name", "ada", stdin=f"{PASSWORD}\n")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"signed in to {place.url} as ada, admin\n"
    path = config.credentials_path()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD not in path.read_text()

    job = call("submit", "true").out.strip()
    assert call("status", job, "--json").json["submitted_by"] == "ada"

    assert call("logout").out == f"signed out of {place.url}\n"
    assert not path.exists()
    assert call("status", job).code == 2
    assert call("logout").sentence == "nobody is signed in"


def test_a_session_ends_on_the_server_too(place: Serving) -> None:
    runyard("login", place.url, "--name", "ada", stdin=PASSWORD)
    token = json.loads(config.credentials_path().read_text())["token"]
    with place.client(token) as client:
        assert client.get("/api/v1/auth/me").status_code == 200
        call("logout", "--json")
        assert client.get("/api/v1/auth/me").status_code == 401


def test_a_token_will_do(place: Serving) -> None:
    token = place.user("ci", password=None)
    said = runyard("login", place.url, "--token", "--json", stdin=token)
    assert said.json == {"url": place.url, "name": "ci", "role": "member"}
    assert call("list", "--json").json["jobs"] == []
    call("logout")
    with place.client(token) as client:  # it is not ours to revoke
        assert client.get("/api/v1/auth/me").status_code == 200


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_files_of_other_systems_will_do(place: Serving, end: str) -> None:
    token = place.user("ci", password=None)
    assert runyard("login", place.url, "--token", stdin=token + end).code == 0
    assert runyard("login", place.url, "--name", "ada", stdin=PASSWORD + end).code == 0


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (["--name", "ada"], "wrong", "the name or the password is wrong"),
        (["--token"], "ryt_no_such", "sign in with runyard login"),
    ],
)
def test_what_is_wrong_is_not_kept(
    place: Serving, arguments: list[str], stdin: str, words: str
) -> None:
    said = runyard("login", place.url, *arguments, stdin=stdin)
    assert said.code == 1
    assert words in said.sentence
    assert not config.credentials_path().exists()


def test_who_has_a_home_is_told(place: Serving, home: Path) -> None:
    said = runyard("login", place.url, "--name", "ada", stdin=PASSWORD, RUNYARD_HOME=str(home))
    assert "commands stay on this machine" in said.err


@pytest.mark.parametrize("command", ["worker", "init-db"])
def test_what_needs_the_database_says_so(place: Serving, command: str) -> None:
    said = runyard(command, RUNYARD_URL=place.url)
    assert said.code == 2
    assert said.sentence.startswith(f"commands go to {place.url}, and ")
    assert "RUNYARD_DATABASE_URL" in said.sentence


def test_nothing_is_said_of_a_server_that_is_not_there(here: Path) -> None:
    said = runyard("version", RUNYARD_URL="http://127.0.0.1:1")
    assert said.code == 0
    assert call("login").sentence == "say which server: runyard login URL"


@pytest.mark.parametrize(
    ("remote", "wanted", "unwanted"),
    [(False, "sqlalchemy", "httpx"), (True, "httpx", "sqlalchemy")],
)
def test_each_way_imports_only_its_own(
    place: Serving, home: Path, remote: bool, wanted: str, unwanted: str
) -> None:
    """Either would be most of the time that a short command takes."""
    token = place.user("ci", password=None)
    environment = (
        {"RUNYARD_URL": place.url, "RUNYARD_TOKEN": token}
        if remote
        else {"RUNYARD_HOME": str(home), "RUNYARD_URL": ""}
    )
    code = (
        "import sys, atexit\n"
        "from runyard.cli.main import main\n"
        "atexit.register(lambda: print([m for m in ('httpx', 'sqlalchemy', 'rich')"
        " if m in sys.modules]))\n"
        "sys.argv = ['runyard', 'list']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "XDG_CONFIG_HOME": str(home), **environment},
    )
    assert wanted in done.stdout.splitlines()[-1]
    assert unwanted not in done.stdout.splitlines()[-1]
    assert "rich" not in done.stdout.splitlines()[-1]
