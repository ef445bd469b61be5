"""Passwords are hashed beside everything else: a crowd that signs in keeps nobody waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from runyard.domain.user import Role
from runyard.service import credentials
from runyard.web import passwords
from tests.store.support import on_sqlite
from tests.support.processes import eventually
from tests.support.serving import PASSWORD, Serving

pytestmark = on_sqlite
API = "/api/v1"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Until it is set, no check of a password ends."""
    gate = threading.Event()

    class Slow(Argon2Hasher):
        def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002
            gate.wait(60)
            return super().verify(password, hash)

    cheap = PasswordHash((Slow(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(credentials, "_hasher", lambda: cheap)
    yield gate
    gate.set()


def test_a_crowd_that_signs_in_keeps_nobody_waiting(
    here: Serving, gate: threading.Event, member: httpx.Client
) -> None:
    here.user("ada", Role.ADMIN)
    limiter = here.running.app.state.hashers
    room = int(limiter.total_tokens) + passwords.CROWD

    def sign_in(_: int) -> httpx.Response:
        form = {"username": "ada", "password": PASSWORD}
        with here.client() as client:
            return client.post(f"{API}/auth/token", data=form)

    with ThreadPoolExecutor(room) as pool:
        crowd = [pool.submit(sign_in, number) for number in range(room)]
        assert eventually(lambda: limiter.statistics().tasks_waiting == passwords.CROWD)
        assert member.get(f"{API}/jobs").status_code == 200
        assert member.post(f"{API}/jobs", json={"command": ["true"]}).status_code == 202
        for ask in (
            lambda: sign_in(0),
            lambda: here.client().post("/login", data={"name": "ada", "password": PASSWORD}),
            lambda: member.patch(f"{API}/users/max", json={"password": PASSWORD}),
        ):
            assert ask().status_code == 429
        gate.set()
        codes = [one.result().status_code for one in crowd]
    assert set(codes) <= {200, 429}
    assert codes.count(200) >= 5
