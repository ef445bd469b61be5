"""Which server is meant, and how to sign in there: given, in the environment, or kept in a file.

Programs of one account may renew a session at the same moment, and a refresh token is good once:
whoever renews holds a lock on the file, and looks first whether somebody else has just done it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from runyard import config
from runyard.errors import HomeUnusable, InvalidRequest

SOON = 30.0  # seconds before its end from which a token is not worth sending


@dataclass(frozen=True, slots=True)
class Credentials:
    """A server, and an API token or the tokens of a session; ``expires_at`` is of the access
    token, in POSIX seconds."""

    url: str
    token: str | None = None
    refresh_token: str | None = None
    expires_at: float | None = None


class Turn:
    """A place in line for the lock on a file; without a file nobody else is in line."""

    def __init__(self, lock: IO[str] | None) -> None:
        self._lock = lock

    def has_come(self) -> bool:
        """Whether it is ours now. This does not wait: who renews may be of our own event loop."""
        if self._lock is None:
            return True
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Keyring:
    """Credentials in use. Those with a ``path`` are kept there."""

    def __init__(self, credentials: Credentials, path: Path | None = None) -> None:
        self._now = credentials
        self._path = path

    @property
    def url(self) -> str:
        """The server."""
        return self._now.url

    @property
    def token(self) -> str | None:
        """What to show with a request, if there is anything."""
        return self._now.token

    @property
    def refresh_token(self) -> str | None:
        """What a new token can be had for."""
        return self._now.refresh_token

    @property
    def can_renew(self) -> bool:
        """Whether another token can be had for one that is not good any more."""
        return self._now.refresh_token is not None

    @property
    def is_stale(self) -> bool:
        """Whether the token is over, or will be in a moment."""
        until = self._now.expires_at
        return self.can_renew and until is not None and time.time() > until - SOON

    @contextlib.contextmanager
    def turn(self) -> Iterator[Turn]:
        """What a renewal holds from its beginning to its end."""
        if self._path is None:
            yield Turn(None)
            return
        with open(self._path.with_suffix(".lock"), "a") as lock:
            yield Turn(lock)

    def to_trade(self, before: str | None) -> str | None:
        """The refresh token to trade; None if somebody else has traded ``before`` since it was
        read. For whoever has their turn."""
        kept = None if self._path is None else read(self._path)
        if kept is not None and kept.url == self.url and kept.refresh_token != before:
            self._now = kept
            return None
        return before

    def renewed(self, tokens: dict[str, Any]) -> None:
        """Take over, and keep, what the server gave."""
        self._now = of_session(self.url, tokens)
        if self._path is not None:
            keep(self._path, self._now)


def of_session(url: str, tokens: dict[str, Any]) -> Credentials:
    """Credentials from the answer of a server's ``/auth/token``."""
    until = time.time() + float(tokens["expires_in"])
    return Credentials(url, tokens["access_token"], tokens["refresh_token"], until)


def find(url: str | None = None, token: str | None = None) -> Keyring | None:
    """The server that is meant: the given one, that of the environment, or, unless the environment
    names a home or a database, the one that somebody signed in to. None means this machine."""
    named = url or config.server_url()
    if named == "" or (named is None and config.names_home()):
        return None
    path = config.credentials_path()
    kept = read(path)
    if named is None:
        return None if kept is None else Keyring(kept, path)
    place = checked_url(named)
    given = checked_token(token or config.server_token())
    if given is None and kept is not None and kept.url == place:
        return Keyring(kept, path)
    return Keyring(Credentials(place, given))


def checked_url(url: str) -> str:
    """An address without a slash at its end. Raises ``InvalidRequest`` for what is none."""
    if not url.startswith(("http://", "https://")) or any(c.isspace() for c in url):
        raise InvalidRequest(
            f"{url!r} is no address of a server: it begins with http:// or https://"
        )
    return url.rstrip("/").removesuffix("/api/v1")


def checked_token(token: str | None) -> str | None:
    """A token without what is around it in a file, and None for an empty one. Raises
    ``InvalidRequest``, which does not repeat it, for what cannot be one."""
    text = (token or "").strip()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidRequest("the token has characters that no token has")
    return text or None


def read(path: Path) -> Credentials | None:
    """What is kept there, if anything is."""
    try:
        return Credentials(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HomeUnusable(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError):
        raise HomeUnusable(f"{path} is damaged: sign in again with runyard login URL") from None


def keep(path: Path, credentials: Credentials) -> None:
    """Keep them, readable by nobody else, and whole at every moment."""
    import tempfile  # every command reads, but hardly any writes

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(  # such a file is ours alone
            "w", dir=path.parent, prefix=".credentials-", delete=False
        ) as fresh:
            json.dump(asdict(credentials), fresh)
        os.replace(fresh.name, path)
    except OSError as error:
        raise HomeUnusable(f"{path}: {error.strerror}") from None


def forget(path: Path) -> None:
    """Keep them no more."""
    path.unlink(missing_ok=True)
