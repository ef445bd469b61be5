"""A real server on a real socket, beside the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from runyard import bootstrap
from runyard.config import Settings
from runyard.domain.user import Actor, Role, TokenScope
from runyard.service.accounts import Accounts
from runyard.store.database import Store
from runyard.web import server
from runyard.web.app import create_app
from runyard.web.live import Newsroom
from runyard.web.place import Place
from runyard.web.server import Server

PASSWORD = "correct horse"


@dataclass(frozen=True)
class Serving:
    """A server, and the store behind it."""

    url: str
    settings: Settings
    store: Store
    running: Server

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def newsroom(self) -> Newsroom:
        return self.running.app.state.newsroom

    def stop(self) -> None:
        """Answer what was asked, and no more."""
        self.running.stop()

    @property
    def accounts(self) -> Accounts:
        return Accounts(self.store, Actor("operator"))

    def user(
        self,
        name: str,
        role: Role = Role.MEMBER,
        org: str = "default",
        password: str | None = PASSWORD,
    ) -> str:
        """A new user; returns a token that is good for all that they may do."""
        self.accounts.add(name, role, org, password)
        return self.accounts.create_token("test", TokenScope.FULL, user=name)[1]

    def client(self, token: str | None = None, **more: str) -> httpx.Client:
        """Whoever has this token, or nobody."""
        headers = {**more, **({"Authorization": f"Bearer {token}"} if token else {})}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@contextmanager
def serving(settings: Settings, port: int = 0) -> Iterator[Serving]:
    """Serve a home until the block ends."""
    sock = server.bind("127.0.0.1", port)
    store = bootstrap.open_store(settings)
    app = create_app(Place.of(settings, store))
    is_up = threading.Event()
    running = Server(app, sock, is_up.set, settings.trusted_proxies)
    thread = threading.Thread(target=running.serve_until_told)
    thread.start()
    try:
        if not is_up.wait(30):
            raise RuntimeError("the server did not start")
        yield Serving(server.url_of(sock), settings, store, running)
    finally:
        running.stop()
        thread.join()
        store.close()
