"""Settings: from the environment, and to the processes we start."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import pytest

from runyard import config
from runyard.config import SECRET_VARIABLES, Settings
from runyard.errors import InvalidRequest


def test_directories_are_separated_by_commas(home: Path) -> None:
    settings = Settings.load(home, environment={"ALLOWED_WORKDIRS": " /a , /b b,,/c/ ,"})

    assert settings.allowed_workdirs == ("/a", "/b b", "/c/")
    assert Settings.load(home, environment={"ALLOWED_WORKDIRS": " , "}).allowed_workdirs == ()


def test_the_default_directory_is_one_whatever_its_name(home: Path) -> None:
    settings = Settings.load(home, environment={"DEFAULT_WORKING_DIR": "/a,b"})

    assert settings.default_workdir == "/a,b"
    assert Settings.load(home, environment={"DEFAULT_WORKING_DIR": ""}).default_workdir is None


@pytest.mark.parametrize("name", ["ALLOWED_WORKDIRS", "DEFAULT_WORKING_DIR"])
def test_a_relative_directory_is_refused(home: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} names 'a/b'; it must be an absolute"):
        Settings.load(home, environment={name: "a/b"})


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf"])
def test_a_timeout_that_is_none_is_refused(home: Path, text: str) -> None:
    with pytest.raises(InvalidRequest, match="COMMAND_TIMEOUT_SECONDS"):
        Settings.load(home, environment={"COMMAND_TIMEOUT_SECONDS": text})


def test_a_process_that_is_started_has_the_same_settings(home: Path) -> None:
    environment = {
        "ALLOWED_WORKDIRS": "/a,/b",
        "DEFAULT_WORKING_DIR": "/a/b",
        "COMMAND_TIMEOUT_SECONDS": "60",
        "RUNYARD_LEASE_SECONDS": "7",
    }
    for given in (environment, {}):
        settings = Settings.load(home, environment=given)

        assert Settings.load(environment=settings.environment()) == settings


def test_what_completes_the_url_of_a_database_is_a_secret_like_the_url(home: Path) -> None:
    plain = Settings.load(home, environment={})
    shared = Settings.load(home, "postgresql://db/runyard", environment={})

    assert set(plain.secret_variables) == set(SECRET_VARIABLES)
    assert set(SECRET_VARIABLES) >= {"RUNYARD_DATABASE_URL", "RUNYARD_SECRET", "RUNYARD_TOKEN"}
    assert set(shared.secret_variables) - set(SECRET_VARIABLES) == {
        "PGPASSWORD",
        "PGPASSFILE",
        "PGSERVICEFILE",
    }


@pytest.mark.parametrize("text", ["*", "proxy.example", "10.0.0.1/8", "10.0.0.0/8, all"])
def test_a_proxy_is_named_by_its_address(home: Path, text: str) -> None:
    with pytest.raises(InvalidRequest, match="must be an address or a network"):
        Settings.load(home, environment={"RUNYARD_TRUSTED_PROXIES": text})


@pytest.mark.parametrize(
    "secret",
    [
        "short-0123456789abcdefghijklmno",
        "a" * 64,
        "abababababababababababababababababab",
        "0123456789abcdef0123456789abcdef",
        "change-me-change-me-change-me-change-me",
        "ChangeMeChangeMeChangeMeChangeMeChangeMe!",
        "your-very-long-and-secure-secret-key-here",
        "replace_this_with_a_long_random_string",
        "super secret password, please change it",
        "placeholder.placeholder.placeholder.placeholder1",
        "password123password124password125password126",
    ],
)
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(InvalidRequest, match="RUNYARD_SECRET is too easy to guess"):
        config._secrets({"RUNYARD_SECRET": secret})


def test_one_that_was_drawn_is_taken() -> None:
    for draw in (secrets.token_urlsafe, secrets.token_hex, secrets.token_bytes):
        for _ in range(500):
            drawn = draw(32)
            text = base64.b64encode(drawn).decode() if isinstance(drawn, bytes) else drawn
            assert config._secrets({"RUNYARD_SECRET": text}) == (text,)


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "²", "9999999999"])
def test_a_number_of_streams_that_is_none_is_refused(home: Path, text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"RUNYARD_STREAMS is .* a whole number above 0"):
        Settings.load(home, environment={"RUNYARD_STREAMS": text})
    assert Settings.load(home, environment={"RUNYARD_STREAMS": "20"}).streams == 20
