"""Sign in, and who a request is from."""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass

from runyard.domain.user import Actor, TokenScope, User
from runyard.errors import LimitReached, NotAuthenticated, NotFound, StoreError
from runyard.service import credentials
from runyard.service.credentials import TOKEN_PREFIX, Signer, digest, is_same
from runyard.store import audit, users
from runyard.store.database import Store, Tx

ACCESS_SECONDS = 15 * 60.0
SESSION_SECONDS = 14 * 86400.0
# In which a renewal may be repeated: its answer may have been lost on the way.
GRACE_SECONDS = 10.0
# Failed tries before a pause, and the longest pause in seconds, by what they have in common: who
# guesses one name from one place is soon stopped; many people may share an address; and a name that
# is guessed from many places is braked, but not for those who come from where they came before:
# else anybody could shut anybody out.
FREE_TRIES = {"pair": 5, "address": 25, "user": 25}
LONGEST_PAUSE = {"pair": 900.0, "address": 900.0, "user": 60.0}
USED_SECONDS = 60.0  # how exactly the last use of a token is noted

# What a try is counted by: the kind, and which.
Tries = list[tuple[str, str]]

WRONG = "the name or the password is wrong"
OVER = "this link has been used, or its time is over"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What somebody gets who signed in. ``refresh_token`` renews the session, once, and again for
    ``GRACE_SECONDS`` with the same result; ``expires_in`` is in seconds."""

    access_token: str
    refresh_token: str
    expires_in: float
    user: User


class SignIn:
    """Who may come in, and who came."""

    def __init__(self, store: Store, signer: Signer) -> None:
        self._store = store
        self.signer = signer

    def by_password(self, name: str, password: str, address: str) -> SignedIn:
        """Raises ``NotAuthenticated``; ``LimitReached`` after too many tries."""
        user, tries = self._known(name, password, address)
        return self._open(user, tries, address, "password")

    def prove(self, name: str, password: str, address: str) -> None:
        """Raises what ``by_password`` does, but opens nothing: for what only they may do who know
        the password, though they are in already."""
        _, tries = self._known(name, password, address)
        self._store.write(lambda tx: _forgive(tx, tries))

    def _known(self, name: str, password: str, address: str) -> tuple[User, Tries]:
        """Whose name and password these are, and which tries were counted for that."""
        network = _network(address)

        def work(tx: Tx) -> tuple[users.Identity | None, Tries]:
            tries = [("address", network), ("pair", f"{network} {name}")]
            if not users.came_from(tx, name, network):
                tries.append(("user", name))
            _count(tx, tries)
            try:
                return users.named(tx, name), tries
            except NotFound:
                return None, tries

        found, tries = self._store.write(work)
        # Outside of the transaction, since it takes long, on purpose.
        is_right = credentials.is_password(password, found.password_hash if found else None)
        if found is None or not is_right or found.user.disabled_at is not None:
            self._store.write(lambda tx: audit.note_failed(tx, name, _network(address)))
            raise NotAuthenticated(WRONG)
        return found.user, tries

    def holder_of(self, secret: str) -> User:
        """Whose a link is, without using it up. Raises ``NotAuthenticated``."""
        with self._store.read() as tx:
            user = users.link_holder(tx, digest(secret))
        if user is None:
            raise NotAuthenticated(OVER)
        return user

    def by_link(self, secret: str, address: str) -> SignedIn:
        """Use up a link. Raises ``NotAuthenticated``."""

        tries = [("address", _network(address))]

        def work(tx: Tx) -> User | None:
            _count(tx, tries)
            return users.take_link(tx, digest(secret))

        user = self._store.write(work)
        if user is None:
            raise NotAuthenticated(OVER)
        return self._open(user, tries, address, "link")

    def renew(self, refresh_token: str, address: str) -> SignedIn:
        """Trade a refresh token for new ones. Whoever repeats it at once gets the same again. One
        that was traded before that has been stolen, from us or by us: the session ends."""
        session_id, secret = _parts(refresh_token)
        hashed = digest(secret)
        heirs = self.signer.heirs(session_id, secret)

        def work(tx: Tx) -> tuple[User, str] | None:
            # Locked, so that of two who come at once with the same token the second is noticed.
            found = users.locked_session(tx, session_id)
            if found is None:
                return None
            if is_same(found.secret, hashed):
                until = tx.now + SESSION_SECONDS
                users.renew_session(tx, session_id, digest(heirs[0]), until)
                return found.user, heirs[0]
            if found.renewed_at is not None and tx.now < found.renewed_at + GRACE_SECONDS:
                for heir in heirs:
                    if is_same(found.secret, digest(heir)):
                        return found.user, heir
            users.revoke_session(tx, session_id)
            audit.note(tx, actor_of(found.user, address), "session.stolen", session_id)
            return None

        renewed = self._store.write(work)
        if renewed is None:
            raise NotAuthenticated("the session is over: sign in again")
        user, fresh = renewed
        return self._signed_in(session_id, fresh, user)

    def sign_out(self, session_id: str, actor: Actor) -> None:
        """End a session."""

        def work(tx: Tx) -> None:
            users.revoke_session(tx, session_id)
            audit.note(tx, actor, "sign_out", actor.name)

        self._store.write(work)

    def bearer(self, token: str, address: str) -> tuple[Actor, str | None]:
        """Whom an ``Authorization: Bearer`` names, and the session if it is of one. Raises
        ``NotAuthenticated``."""
        if token.startswith(f"{TOKEN_PREFIX}_"):
            return self._api_token(token, address), None
        session_id = self.signer.session_of(token)
        return self.of_session(session_id, address), session_id

    def cookie(self, refresh_token: str, address: str) -> tuple[Actor, str]:
        """Whom a browser's cookie names, and the session. Raises ``NotAuthenticated``."""
        session_id, secret = _parts(refresh_token)
        return self.of_session(session_id, address, digest(secret)), session_id

    def of_session(self, session_id: str, address: str, hashed: str | None = None) -> Actor:
        """Whose a session is, and whose secret has this hash if one is given. Raises
        ``NotAuthenticated``."""
        found = self._store.look(lambda look: users.session(look, session_id))
        if found is None or (hashed is not None and not is_same(found.secret, hashed)):
            raise NotAuthenticated("the session is over: sign in again")
        return actor_of(found.user, address)

    def _api_token(self, token: str, address: str) -> Actor:
        _, _, rest = token.partition("_")
        token_id, _, secret = rest.partition("_")
        found = self._store.look(lambda look: users.token_holder(look, token_id))
        if found is None or not is_same(found.secret, digest(secret)):
            raise NotAuthenticated("the token is not valid, has expired or was revoked")
        if found.idle is None or found.idle > USED_SECONDS:
            with contextlib.suppress(StoreError):  # whoever only looks needs no room on the disk
                self._store.write(lambda tx: users.used_token(tx, token_id), relaxed=True)
        return actor_of(found.user, address, found.scope)

    def _open(self, user: User, tries: Tries, address: str, how: str) -> SignedIn:
        session_id, secret = credentials.new_id(), credentials.new_secret()

        def work(tx: Tx) -> None:
            _forgive(tx, tries)
            until = tx.now + SESSION_SECONDS
            where = _network(address)
            users.open_session(tx, session_id, user.id, digest(secret), where, until)
            audit.note(tx, actor_of(user, address), "sign_in", user.name, {"by": how})

        self._store.write(work)
        return self._signed_in(session_id, secret, user)

    def _signed_in(self, session_id: str, secret: str, user: User) -> SignedIn:
        access = self.signer.sign(session_id, ACCESS_SECONDS)
        return SignedIn(access, f"{session_id}.{secret}", ACCESS_SECONDS, user)


def actor_of(user: User, address: str, scope: TokenScope = TokenScope.FULL) -> Actor:
    """A user who does something."""
    return Actor(user.name, user.role, user.org_id, scope, address, user.id)


def _parts(refresh_token: str) -> tuple[str, str]:
    session_id, dot, secret = refresh_token.partition(".")
    if not dot or not _is_id(session_id):
        raise NotAuthenticated("the session is over: sign in again")
    return session_id, secret


def _is_id(text: str) -> bool:
    """Whether it can be the id of a session: what else came is not for the database."""
    return text.isascii() and text.isalnum() and len(text) < 100


def _count(tx: Tx, tries: Tries) -> None:
    """Let nobody guess: after some failures, each doubles the pause before the next try. A try
    counts as failed from its beginning, so that many at once do not get around the pause."""
    for kind, name in tries:
        failures, at = users.count_try(tx, kind, name)
        beyond = failures - FREE_TRIES[kind]
        if beyond < 0:
            continue
        left = at + min(LONGEST_PAUSE[kind], 2.0 ** min(beyond, 20)) - tx.now
        if left > 0:
            raise LimitReached(f"too many failed tries: wait {left:.0f} s", retry_after=left)


def _forgive(tx: Tx, tries: Tries) -> None:
    """Tries that succeeded. Whoever knows the password may have mistyped it before; what others
    tried, from the same address or for the same name, stays counted."""
    for kind, name in tries:
        if kind == "pair":
            users.forget_tries(tx, kind, name)
        else:
            users.take_back_try(tx, kind, name)


def _network(address: str) -> str:
    """Whose tries count together: of IPv6, one household has a whole /64 to choose from."""
    try:
        if ":" in address:
            return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        pass
    return address
