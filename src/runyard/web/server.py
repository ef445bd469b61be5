"""Serve the application until told to stop."""

from __future__ import annotations

import contextlib
import ipaddress
import resource
import socket
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from fastapi import FastAPI

from runyard.errors import InvalidRequest
from runyard.web.connections import Connection

GRACE_SECONDS = 5  # for requests that are being answered when we shall stop


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens, before anything else is done: whoever finds the port taken hears it
    at once, and whoever connects early waits instead of being refused."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InvalidRequest(f"{host} is no address of this machine: {error.strerror}") from None
    sock = socket.socket(family, kind, proto)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
        sock.listen(1024)
    except OSError as error:
        sock.close()
        raise InvalidRequest(
            f"{host}:{port} cannot be used ({error.strerror}): does a server run there already? "
            "Choose another with --port"
        ) from None
    sock.set_inheritable(False)
    return sock


def url_of(sock: socket.socket) -> str:
    """How a browser on this machine reaches it."""
    host, port = sock.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _allow_many_connections() -> None:
    """The usual limit is meant for programs that watch what they have open one by one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Server(uvicorn.Server):
    """Serves on a socket that is bound already. What ``proxies`` say of where a request comes
    from is believed; what others say is not."""

    def __init__(
        self,
        app: FastAPI,
        sock: socket.socket,
        started: Callable[[], None],
        proxies: Sequence[str] = (),
    ) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=bool(proxies),
            forwarded_allow_ips=list(proxies),
            timeout_graceful_shutdown=GRACE_SECONDS,
            timeout_keep_alive=65,
            lifespan="on",
        )
        super().__init__(config)
        self.app = app
        self._sock = sock
        self._tell = started

    def serve_until_told(self) -> None:
        """Until ``stop``."""
        _allow_many_connections()
        self.run(sockets=[self._sock])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Streams end when they are told to; those who listen would keep us for the whole grace.
        await self.app.state.newsroom.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: what a signal means is for the command to say."""
        yield

    def stop(self) -> None:
        """Answer what was asked, then return; told again, do not wait for that."""
        self.force_exit = self.should_exit
        self.should_exit = True
