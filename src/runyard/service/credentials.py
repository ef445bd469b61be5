"""Passwords, secrets and signed tokens: how they are made, kept and checked.

A password is kept as an argon2 hash. What we draw ourselves is random enough to need no slow hash:
of it we keep the SHA-256, so that a copy of the database signs nobody in.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jwt
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from runyard.config import SHORTEST_SECRET
from runyard.errors import HomeUnusable, InvalidRequest, NotAuthenticated

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1000  # hashing a longer one would be work for nothing
ALGORITHM = "HS256"
TOKEN_PREFIX = "ryt"


@cache
def _hasher() -> PasswordHash:
    return PasswordHash((Argon2Hasher(),))


@cache
def _nobodys_hash() -> str:
    return _hasher().hash(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    """What to keep of a password. Raises ``InvalidRequest`` for a bad one."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidRequest(f"a password has at least {SHORTEST_PASSWORD} characters")
    return _hasher().hash(password)


def is_password(password: str, kept: str | None) -> bool:
    """Whether it is the one that was kept; takes as long where there is none, so that nobody
    learns from the clock which users there are."""
    if len(password) > LONGEST_PASSWORD:
        return False
    nobodys = _nobodys_hash()  # made the first time, whoever it is for
    return _hasher().verify(password, kept or nobodys) and kept is not None


def new_secret() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def new_id() -> str:
    """A public id without characters that separate parts of a token."""
    return secrets.token_hex(8)


def digest(secret: str) -> str:
    """What to keep of a secret that we drew."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_same(digest_a: str, digest_b: str) -> bool:
    """Whether two digests are equal, in a time that does not tell how far they are."""
    return hmac.compare_digest(digest_a, digest_b)


def kept_key(path: Path) -> str:
    """The key in a file; drawn and kept there the first time."""
    try:
        with contextlib.suppress(FileNotFoundError):
            return _key(path)
        fresh = tempfile.NamedTemporaryFile(  # noqa: SIM115 - its name outlives it, on purpose
            "w", dir=path.parent, prefix=".secret-", delete=False
        )
        with fresh:
            fresh.write(new_secret())
            fresh.flush()
            os.fsync(fresh.fileno())
        # A link is made by one only, and what it names is whole: nobody reads half a key.
        with contextlib.suppress(FileExistsError):
            os.link(fresh.name, path)
        os.unlink(fresh.name)
        return _key(path)
    except OSError as error:
        raise HomeUnusable(f"{path}: {error.strerror}") from error


def _key(path: Path) -> str:
    try:
        key = path.read_text().strip()
    except UnicodeDecodeError:
        key = ""
    if len(key) < SHORTEST_SECRET:  # with an empty one, everybody could sign
        raise HomeUnusable(f"{path} holds no key: delete it, and everybody signs in again")
    return key


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs and checks short-lived tokens. The first key signs; tokens signed with any of them are
    good, so that keys can be changed while people are signed in."""

    keys: Sequence[str]

    def sign(self, session_id: str, seconds: float) -> str:
        """A token of a session, good for so many seconds."""
        now = time.time()
        claims = {"sid": session_id, "iat": int(now), "exp": int(now + seconds)}
        return jwt.encode(claims, self.keys[0], ALGORITHM)

    def session_of(self, token: str) -> str:
        """The session that a token is of. Raises ``NotAuthenticated``."""
        for key in self.keys:
            try:
                claims = jwt.decode(
                    token, key, algorithms=[ALGORITHM], options={"require": ["exp", "sid"]}
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise NotAuthenticated("the token has expired: sign in again") from None
            except jwt.InvalidTokenError:
                break
            return str(claims["sid"])
        raise NotAuthenticated("the token is not valid")

    def mark(self, session_id: str) -> str:
        """What the forms of a session's pages carry, so that no other site can post them."""
        return _seal(self.keys[0], f"form {session_id}")

    def heirs(self, session_id: str, secret: str) -> list[str]:
        """What may follow a session's secret, by each key; the first key's does. It follows from
        the one before, so that a renewal can be repeated though we keep only hashes."""
        return [_seal(key, f"renew {session_id} {secret}") for key in self.keys]


def _seal(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), "sha256").hexdigest()
