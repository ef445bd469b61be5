"""Sign in and out of a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from runyard.client import credentials
from runyard.client.asking import API, Asker
from runyard.client.credentials import Credentials, Keyring
from runyard.client.drivers import SyncDriver
from runyard.client.effects import Answer, Flow, Interrupted, Send
from runyard.client.faults import fault
from runyard.errors import NotAuthenticated, ServerUnreachable

Result = TypeVar("Result")


def by_password(url: str, name: str, password: str) -> Credentials:
    """A session of somebody. Raises ``NotAuthenticated``, ``LimitReached`` after too many tries."""
    return _run(url, _sign_in(url, name, password))


def who(given: Credentials) -> dict[str, Any]:
    """Whose these credentials are: ``name``, ``role``, ``org_id``, ``scope``."""
    asker = Asker(Keyring(given))
    return _run(given.url, asker.ask(Send("GET", "/auth/me"), _json))


def out(given: Credentials, path: Path) -> None:
    """End a session on the server; a token stays good."""
    if given.refresh_token is not None:
        asker = Asker(Keyring(given, path))
        _run(given.url, asker.ask(Send("POST", "/auth/revoke"), lambda _: None, is_safe=False))


def _sign_in(url: str, name: str, password: str) -> Flow[Credentials]:
    form = {"grant_type": "password", "username": name, "password": password}
    try:
        answer: Answer = yield Send("POST", f"{API}/auth/token", form=form)
    except Interrupted as error:
        raise ServerUnreachable(f"{url} does not answer ({error}): does it run?") from None
    if answer.status == 401:
        raise NotAuthenticated(json.loads(answer.body)["detail"])
    if answer.status != 200:
        raise fault(answer, url)
    return credentials.of_session(url, json.loads(answer.body))


def _run(url: str, flow: Flow[Result]) -> Result:
    driver = SyncDriver(url)
    try:
        return driver.run(flow)
    finally:
        driver.close()


def _json(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body)
    return found
