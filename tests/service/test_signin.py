"""Sign in: who comes in, for how long, and who does not."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import jwt
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from runyard.clock import ManualClock
from runyard.domain.listing import AuditFilter
from runyard.domain.user import Actor, Role, TokenScope
from runyard.engine.pruner import Pruner
from runyard.errors import Conflict, Forbidden, InvalidRequest, LimitReached, NotAuthenticated
from runyard.service import credentials
from runyard.service.accounts import LINK_SECONDS, Accounts
from runyard.service.credentials import Signer
from runyard.service.signin import (
    ACCESS_SECONDS,
    FREE_TRIES,
    GRACE_SECONDS,
    LONGEST_PAUSE,
    SESSION_SECONDS,
    SignIn,
)
from runyard.store import audit
from runyard.store.database import Store
from tests.store.support import in_parallel
from tests.support.hashing import SLOW

KEY = "k" * 40
PASSWORD = "correct horse"
HERE = "192.0.2.7"


@pytest.fixture
def accounts(store: Store) -> Accounts:
    """The accounts as whoever works on the store itself, with some users."""
    accounts = Accounts(store, Actor("operator"))
    accounts.add("ada", Role.ADMIN, password=PASSWORD)
    accounts.add("max", Role.MEMBER, "acme", PASSWORD)
    return accounts


@pytest.fixture
def sign_in(store: Store, accounts: Accounts) -> SignIn:
    return SignIn(store, Signer([KEY]))


def test_a_password_signs_in(sign_in: SignIn) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    actor, _ = sign_in.bearer(done.access_token, HERE)
    assert (actor.name, actor.role, actor.org_id, actor.address) == (
        "max",
        Role.MEMBER,
        "acme",
        HERE,
    )
    assert sign_in.cookie(done.refresh_token, HERE)[0] == actor


@pytest.mark.parametrize("name", ["max", "nobody"])
def test_a_wrong_password_and_an_unknown_name_look_the_same(sign_in: SignIn, name: str) -> None:
    with pytest.raises(NotAuthenticated, match="the name or the password is wrong"):
        sign_in.by_password(name, "wrong horse", HERE)


@pytest.mark.parametrize("password", ["wrong horse", PASSWORD, "x" * 1500, ""])
def test_no_clock_tells_whether_there_is_a_user(
    sign_in: SignIn, accounts: Accounts, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    """Hashing takes nearly all of the time: as much is hashed whoever is tried."""
    accounts.add("lin", Role.MEMBER)  # without a password
    accounts.add("dis", Role.MEMBER, password=PASSWORD)
    accounts.disable("dis")
    checks = 0

    class Counting(Argon2Hasher):
        def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002
            nonlocal checks
            checks += 1
            return super().verify(password, hash)

    cheap = PasswordHash((Counting(time_cost=1, memory_cost=8, parallelism=1),))
    monkeypatch.setattr(credentials, "_hasher", lambda: cheap)
    wrong = "y" + password[1:]
    tried = {"max": wrong, "nobody": password, "lin": password, "dis": password}
    made = []
    for name, guess in tried.items():
        with pytest.raises(NotAuthenticated):
            sign_in.by_password(name, guess, HERE)
        made.append(checks)
        checks = 0
    assert len(set(made)) == 1, made


def fail(sign_in: SignIn, times: int, name: str = "max", address: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(NotAuthenticated):
            sign_in.by_password(name, "wrong horse", address)


def test_guessing_is_slowed_down(sign_in: SignIn, clock: ManualClock) -> None:
    fail(sign_in, FREE_TRIES["pair"])
    with pytest.raises(LimitReached) as refused:
        sign_in.by_password("max", PASSWORD, HERE)
    assert refused.value.retry_after == pytest.approx(1.0, abs=0.5)
    clock.advance(1.5)
    sign_in.by_password("max", PASSWORD, HERE)
    fail(sign_in, FREE_TRIES["pair"])  # and what failed before is forgotten


def test_nobody_shuts_somebody_out(sign_in: SignIn) -> None:
    """Who guesses a name keeps its owner waiting neither where they came from before nor, as long
    as it is from one place, anywhere else."""
    sign_in.by_password("max", PASSWORD, HERE)
    fail(sign_in, FREE_TRIES["pair"], address="198.51.100.1")
    with pytest.raises(LimitReached):
        sign_in.by_password("max", PASSWORD, "198.51.100.1")
    sign_in.by_password("max", PASSWORD, "192.0.2.8")
    for number in range(FREE_TRIES["user"] - FREE_TRIES["pair"]):
        fail(sign_in, 1, address=f"203.0.113.{number}")
    with pytest.raises(LimitReached):
        sign_in.by_password("max", PASSWORD, "192.0.2.9")
    sign_in.by_password("max", PASSWORD, HERE)
    sign_in.by_password("max", PASSWORD, "192.0.2.8")


def test_a_name_is_guessed_slowly_from_however_many_places(
    sign_in: SignIn, clock: ManualClock
) -> None:
    """And it is not much that whoever comes from a new place has to wait."""
    for number in range(FREE_TRIES["user"]):
        fail(sign_in, 1, address=f"203.0.113.{number}")
    tried = 0
    pauses = [0.0]
    for number in range(1000):
        try:
            sign_in.by_password("max", "wrong horse", f"198.51.100.{number % 250}")
        except NotAuthenticated:
            tried += 1
        except LimitReached as refused:
            pauses.append(refused.retry_after or 0.0)
        clock.advance(3.6)
    assert 0 < max(pauses) <= LONGEST_PAUSE["user"]
    assert tried < 3600 / LONGEST_PAUSE["user"] + 10


def test_coming_in_does_not_give_others_new_tries(sign_in: SignIn) -> None:
    for number in range(FREE_TRIES["user"]):
        sign_in.by_password("max", PASSWORD, f"192.0.2.{number}")
        fail(sign_in, 1, address=f"203.0.113.{number}")
    with pytest.raises(LimitReached):
        sign_in.by_password("max", "wrong horse", "198.51.100.1")


def test_one_address_cannot_try_many_names(sign_in: SignIn) -> None:
    for number in range(FREE_TRIES["address"]):
        with pytest.raises(NotAuthenticated):
            sign_in.by_password(f"user{number}", "wrong horse", HERE)
    with pytest.raises(LimitReached):
        sign_in.by_password("max", PASSWORD, HERE)
    sign_in.by_password("max", PASSWORD, "192.0.2.8")


def test_a_session_is_renewed_with_another_secret(sign_in: SignIn) -> None:
    first = sign_in.by_password("max", PASSWORD, HERE)
    second = sign_in.renew(first.refresh_token, HERE)
    assert second.refresh_token != first.refresh_token
    assert sign_in.bearer(second.access_token, HERE)[0].name == "max"


def test_a_renewal_whose_answer_was_lost_can_be_repeated(
    sign_in: SignIn, clock: ManualClock
) -> None:
    first = sign_in.by_password("max", PASSWORD, HERE)
    lost = sign_in.renew(first.refresh_token, HERE)
    clock.advance(GRACE_SECONDS - 1)
    again = sign_in.renew(first.refresh_token, HERE)
    assert again.refresh_token == lost.refresh_token
    assert sign_in.bearer(again.access_token, HERE)[0].name == "max"
    clock.advance(GRACE_SECONDS)
    sign_in.renew(again.refresh_token, HERE)


def test_a_renewal_can_be_repeated_while_keys_change(store: Store, sign_in: SignIn) -> None:
    first = sign_in.by_password("max", PASSWORD, HERE)
    lost = sign_in.renew(first.refresh_token, HERE)
    rotated = SignIn(store, Signer(["n" * 40, KEY]))
    assert rotated.renew(first.refresh_token, HERE).refresh_token == lost.refresh_token


def test_a_secret_used_later_again_ends_the_session(
    sign_in: SignIn, accounts: Accounts, clock: ManualClock
) -> None:
    first = sign_in.by_password("max", PASSWORD, HERE)
    second = sign_in.renew(first.refresh_token, HERE)
    clock.advance(GRACE_SECONDS - 1)
    sign_in.renew(first.refresh_token, HERE)  # which does not prolong the time for it
    clock.advance(2)
    for token in (first.refresh_token, second.refresh_token):
        with pytest.raises(NotAuthenticated):
            sign_in.renew(token, HERE)
    with pytest.raises(NotAuthenticated):
        sign_in.bearer(second.access_token, HERE)
    assert accounts.audit(AuditFilter(action="session.stolen"))


def test_an_old_secret_ends_the_session_however_often_it_was_renewed(
    sign_in: SignIn, accounts: Accounts
) -> None:
    """A thief who renews twice is noticed, too, as soon as the robbed comes back."""
    first = sign_in.by_password("max", PASSWORD, HERE)
    thief = sign_in.renew(sign_in.renew(first.refresh_token, HERE).refresh_token, HERE)
    with pytest.raises(NotAuthenticated):
        sign_in.renew(first.refresh_token, HERE)
    with pytest.raises(NotAuthenticated):
        sign_in.bearer(thief.access_token, HERE)
    assert accounts.audit(AuditFilter(action="session.stolen"))


def test_a_session_ends_in_time(sign_in: SignIn, clock: ManualClock) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    clock.advance(SESSION_SECONDS + 1)
    with pytest.raises(NotAuthenticated):
        sign_in.cookie(done.refresh_token, HERE)


def test_who_signed_out_is_out(sign_in: SignIn) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    actor, session = sign_in.bearer(done.access_token, HERE)
    assert session is not None
    sign_in.sign_out(session, actor)
    for ask in (
        lambda: sign_in.bearer(done.access_token, HERE),
        lambda: sign_in.cookie(done.refresh_token, HERE),
        lambda: sign_in.renew(done.refresh_token, HERE),
    ):
        with pytest.raises(NotAuthenticated):
            ask()


def test_a_disabled_user_is_out_at_once(sign_in: SignIn, accounts: Accounts) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    _, token = accounts.create_token("ci", TokenScope.FULL, user="max")
    accounts.disable("max")
    for bearer in (done.access_token, token):
        with pytest.raises(NotAuthenticated):
            sign_in.bearer(bearer, HERE)
    with pytest.raises(NotAuthenticated):
        sign_in.by_password("max", PASSWORD, HERE)


def test_a_role_holds_from_the_next_request_on(sign_in: SignIn, accounts: Accounts) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    accounts.set_role("max", Role.VIEWER)
    assert sign_in.bearer(done.access_token, HERE)[0].role is Role.VIEWER


def test_another_password_ends_the_sessions(sign_in: SignIn, accounts: Accounts) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    accounts.set_password("max", "another horse")
    with pytest.raises(NotAuthenticated):
        sign_in.bearer(done.access_token, HERE)
    sign_in.by_password("max", "another horse", HERE)


def test_a_hash_takes_its_time() -> None:
    """And memory; other tests do not wait for it."""
    assert SLOW().hash(PASSWORD).startswith("$argon2id$v=19$m=65536,t=3,")


# Signed tokens.


def forged(claims: dict[str, object], key: str = KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm)


def test_a_tampered_token_is_refused(sign_in: SignIn) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    header, payload, signature = done.access_token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    other = base64.urlsafe_b64encode(json.dumps(claims | {"exp": 2**33}).encode())
    for token in (
        f"{header}.{other.decode().rstrip('=')}.{signature}",
        f"{header}.{payload}.{signature[:-4]}AAAA",
        f"{header}.{payload}.",
        forged(claims, "x" * 40),
        forged(claims, "", "none"),
        forged({"sid": claims["sid"]}),  # never expires
        forged({"exp": 2**33}),
        forged({"sid": "unknown", "exp": 2**33}),
        forged({**claims, "exp": 1}),
        "",
        "nonsense",
        "a.b.c",
        "ryt_",
        "ryt_x_y",
    ):
        with pytest.raises(NotAuthenticated):
            sign_in.bearer(token, HERE)


def test_keys_can_be_changed(store: Store, sign_in: SignIn) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    rotated = SignIn(store, Signer(["n" * 40, KEY]))
    assert rotated.bearer(done.access_token, HERE)[0].name == "max"
    fresh = rotated.renew(done.refresh_token, HERE)
    after = SignIn(store, Signer(["n" * 40]))
    assert after.bearer(fresh.access_token, HERE)[0].name == "max"
    with pytest.raises(NotAuthenticated):
        after.bearer(done.access_token, HERE)


def test_a_signed_token_lasts_minutes(sign_in: SignIn) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    claims = jwt.decode(done.access_token, KEY, ["HS256"])
    assert claims["exp"] - claims["iat"] == ACCESS_SECONDS
    assert "name" not in claims


# Links.


def test_a_link_signs_in_once(sign_in: SignIn, accounts: Accounts) -> None:
    link = accounts.login_link("max")
    assert sign_in.by_link(link, HERE).user.name == "max"
    with pytest.raises(NotAuthenticated, match="has been used"):
        sign_in.by_link(link, HERE)


def test_a_link_ends_in_time(sign_in: SignIn, accounts: Accounts, clock: ManualClock) -> None:
    link = accounts.login_link("max")
    clock.advance(LINK_SECONDS + 1)
    with pytest.raises(NotAuthenticated):
        sign_in.by_link(link, HERE)


# API tokens.


def test_an_api_token_is_its_user_within_its_scope(sign_in: SignIn, accounts: Accounts) -> None:
    made, text = accounts.create_token("ci", TokenScope.SUBMIT, user="max")
    actor, session = sign_in.bearer(text, HERE)
    assert (actor.name, actor.scope, session) == ("max", TokenScope.SUBMIT, None)
    listed = accounts.tokens("max")
    assert [token.id for token in listed] == [made.id]
    assert listed[0].used_at is not None
    assert text.split("_", 2)[2] not in str(listed)


def test_an_api_token_expires(sign_in: SignIn, accounts: Accounts, clock: ManualClock) -> None:
    _, short = accounts.create_token("ci", TokenScope.READ, days=1, user="max")
    _, lasting = accounts.create_token("ci", TokenScope.READ, days=None, user="max")
    clock.advance(86401)
    with pytest.raises(NotAuthenticated):
        sign_in.bearer(short, HERE)
    sign_in.bearer(lasting, HERE)


def test_an_api_token_is_revoked(sign_in: SignIn, accounts: Accounts) -> None:
    made, text = accounts.create_token("ci", TokenScope.FULL, user="max")
    accounts.revoke_token(made.id)
    with pytest.raises(NotAuthenticated):
        sign_in.bearer(text, HERE)


def test_an_api_token_cannot_grow(store: Store, sign_in: SignIn, accounts: Accounts) -> None:
    _, text = accounts.create_token("ci", TokenScope.SUBMIT, user="ada")
    actor, _ = sign_in.bearer(text, HERE)
    limited = Accounts(store, actor)
    for ask in (
        lambda: limited.create_token("more", TokenScope.FULL),
        lambda: limited.set_role("max", Role.ADMIN),
        lambda: limited.set_password("ada", "my own password"),
        lambda: limited.login_link("ada"),
        limited.page,
        limited.audit,
    ):
        with pytest.raises(Forbidden):
            ask()


# What users may do with users.


def test_a_member_manages_only_themselves(
    store: Store, sign_in: SignIn, accounts: Accounts
) -> None:
    done = sign_in.by_password("max", PASSWORD, HERE)
    own = Accounts(store, sign_in.bearer(done.access_token, HERE)[0])
    own.create_token("ci", TokenScope.FULL)
    assert own.get("max").org_id == "acme"
    others, _ = accounts.create_token("ci", TokenScope.FULL, user="ada")
    for ask in (
        lambda: own.add("eve", Role.ADMIN),
        lambda: own.set_role("max", Role.ADMIN),
        lambda: own.disable("ada"),
        lambda: own.set_password("ada", "my own password"),
        lambda: own.create_token("ci", TokenScope.FULL, user="ada"),
        lambda: own.tokens("*"),
        lambda: own.get("ada"),
        own.audit,
    ):
        with pytest.raises(Forbidden):
            ask()
    with pytest.raises(Exception, match="there is no token"):
        own.revoke_token(others.id)
    own.set_password("max", "another horse")


def test_the_last_admin_stays(accounts: Accounts) -> None:
    for change in (lambda: accounts.set_role("ada", Role.MEMBER), lambda: accounts.disable("ada")):
        with pytest.raises(Conflict, match="the last admin"):
            change()
    assert accounts.get("ada").role is Role.ADMIN
    accounts.set_role("max", Role.ADMIN)
    accounts.disable("ada")


@pytest.mark.parametrize("name", ["", "a b", "x" * 101, "a/b", "a\0b", "<b>", "../x", "é"])
def test_a_strange_name_is_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(InvalidRequest):
        accounts.add(name, Role.MEMBER)


def test_a_name_is_given_once(accounts: Accounts) -> None:
    with pytest.raises(Conflict, match="there is a user 'max' already"):
        accounts.add("max", Role.MEMBER)


@pytest.mark.parametrize("password", ["", "too short", "x" * 1001])
def test_a_bad_password_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(InvalidRequest):
        accounts.add("eve", Role.MEMBER, password=password)


def test_every_change_is_on_record(accounts: Accounts) -> None:
    accounts.set_role("max", Role.VIEWER)
    accounts.disable("max")
    entries = accounts.audit()
    assert [entry.action for entry in entries] == [
        "user.disable",
        "user.set_role",
        "user.add",
        "user.add",
    ]
    assert {(entry.actor, entry.address) for entry in entries} == {("operator", "local")}
    assert entries[1].data == {"role": "viewer"}


def failed(accounts: Accounts) -> list[tuple[str, str, object]]:
    """Whose failed sign-ins are on record, from where, and how many; the oldest first."""
    entries = accounts.audit(AuditFilter(action="sign_in.failed"), 1000)
    return [(one.actor, one.address, one.data["tries"]) for one in reversed(entries)]


def test_tries_that_fail_are_summed_up_by_the_hour(
    sign_in: SignIn, accounts: Accounts, clock: ManualClock
) -> None:
    fail(sign_in, 3)
    fail(sign_in, 2, address="198.51.100.1")
    fail(sign_in, 1, name="nobody")
    fail(sign_in, 1)
    assert failed(accounts) == [
        ("max", HERE, 4),
        ("max", "198.51.100.1", 2),
        ("nobody", HERE, 1),
    ]
    clock.advance(3600)
    fail(sign_in, 1)
    assert failed(accounts)[3:] == [("max", HERE, 1)]


def test_a_flood_of_guesses_does_not_fill_the_record(
    sign_in: SignIn, accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_FAILED", 10)
    before = len(accounts.audit())
    for number in range(50):
        fail(sign_in, 1, name=f"user{number}", address=f"2001:db8::{number:x}:0:0:0:1")
    found = failed(accounts)
    assert len(found) == 11
    assert found[-1] == ("*", "*", 40)
    assert len(accounts.audit()) == before + 11
    fail(sign_in, 1, name="user3", address="2001:db8:0:0:3:0:0:2")
    assert ("user3", "2001:db8::/64", 1) not in failed(accounts)


def test_of_many_who_fail_at_once_each_is_counted(sign_in: SignIn, accounts: Accounts) -> None:
    fail(sign_in, 1)
    in_parallel(*[lambda: fail(sign_in, 1)] * 4)
    assert failed(accounts) == [("max", HERE, 5)]


def test_tries_that_failed_long_ago_are_forgotten_and_changes_are_not(
    sign_in: SignIn, accounts: Accounts, clock: ManualClock, store: Store, tmp_path: Path
) -> None:
    fail(sign_in, 1)
    changes = accounts.audit()[1:]
    prune = Pruner(store, tmp_path, 86400.0)
    clock.advance(86400.0 - 3600.0)
    fail(sign_in, 2)
    prune()
    assert failed(accounts) == [("max", HERE, 1), ("max", HERE, 2)]
    clock.advance(3601.0)
    prune()
    assert failed(accounts) == [("max", HERE, 2)]
    assert accounts.audit()[1:] == changes
