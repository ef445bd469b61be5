"""What most commands need: whoever answers requests, opened once and closed at the end."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from runyard import config
from runyard.client import credentials
from runyard.errors import InvalidRequest

if TYPE_CHECKING:
    from runyard.client.local import Local
    from runyard.client.remote import Remote
    from runyard.client.requests import Requests


@contextmanager
def session(config_path: str | None = None) -> Iterator[Requests]:
    """The server that is meant, or else the home that the environment names, with the
    configuration of that name or in force."""
    opened = remote() or local(config_path)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def home_session(what: str) -> Iterator[Local]:
    """The home, for commands that make no sense over REST. If a server is meant, and no home is
    named, somebody is about to be surprised: ``what`` says what they want to do."""
    keyring = None if config.names_home() else credentials.find()
    if keyring is not None:
        raise InvalidRequest(
            f"commands go to {keyring.url}, and {what} needs the database itself: name it in "
            "RUNYARD_DATABASE_URL, or set RUNYARD_HOME"
        )
    opened = local()
    try:
        yield opened
    finally:
        opened.close()


def remote() -> Remote | None:
    """The server that is meant, if one is."""
    keyring = credentials.find()
    if keyring is None:
        return None
    from runyard.client.remote import Remote

    _imported()
    return Remote(keyring)


def local(config_path: str | None = None) -> Local:
    """The home that the environment names."""
    from runyard.client.local import Local

    _imported()
    return Local(config.Settings.load(), config_path)


def _imported() -> None:
    # ``main`` switched it off while everything was imported, which will be used to the end.
    gc.freeze()
    gc.enable()


def print_json(value: Any) -> None:
    """One JSON object, indented only for people."""
    is_unicode = sys.stdout is not None and sys.stdout.encoding.lower() in ("utf-8", "utf8")
    indent = 2 if sys.stdout and sys.stdout.isatty() else None
    click.echo(json.dumps(value, indent=indent, ensure_ascii=not is_unicode))
