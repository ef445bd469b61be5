"""Many sign in at once: who guesses in parallel, or comes with the same secret, gains nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from runyard.clock import ManualClock
from runyard.domain.user import Actor, Role
from runyard.engine.pruner import Pruner
from runyard.errors import Conflict, HomeUnusable, LimitReached, NotAuthenticated
from runyard.service.accounts import Accounts
from runyard.service.credentials import Signer, kept_key
from runyard.service.signin import FREE_TRIES, SESSION_SECONDS, SignedIn, SignIn
from runyard.store import users
from runyard.store.database import Store
from tests.store.support import in_parallel

PASSWORD = "correct horse"
HERE = "192.0.2.7"
ROUNDS = 8


@pytest.fixture
def accounts(store: Store) -> Accounts:
    return Accounts(store, Actor("operator"))


@pytest.fixture
def sign_in(store: Store) -> SignIn:
    return SignIn(store, Signer(["k" * 40]))


def outcome(ask: Callable[[], object]) -> str:
    """ "ok", or the name of the error."""
    try:
        ask()
    except (Conflict, LimitReached, NotAuthenticated) as error:
        return type(error).__name__
    return "ok"


def together(*asks: Callable[[], object]) -> Counter[str]:
    """How often each outcome came, of all of them at once."""
    return Counter(in_parallel(*((lambda ask=ask: outcome(ask)) for ask in asks)))


def test_guessing_in_parallel_is_slowed_down_too(accounts: Accounts, sign_in: SignIn) -> None:
    accounts.add("max", Role.MEMBER, password=PASSWORD)
    guesses = [lambda: sign_in.by_password("max", "wrong horse", HERE)] * 16
    assert together(*guesses) == {
        "NotAuthenticated": FREE_TRIES["pair"],
        "LimitReached": 16 - FREE_TRIES["pair"],
    }


def test_many_names_in_parallel_are_slowed_down_by_address(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of IPv6, all that one household may choose from counts as one."""
    monkeypatch.setitem(FREE_TRIES, "address", 4)
    guesses = [
        lambda n=n: sign_in.by_password(f"user{n}", "wrong horse", f"2001:db8::{n}")
        for n in range(12)
    ]
    assert together(*guesses) == {"NotAuthenticated": 4, "LimitReached": 8}
    elsewhere = outcome(lambda: sign_in.by_password("x", "wrong horse", "2001:db8:0:1::1"))
    assert elsewhere == "NotAuthenticated"


def test_what_was_right_does_not_count_against_an_address(
    accounts: Accounts, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FREE_TRIES, "address", 2)
    accounts.add("max", Role.MEMBER, password=PASSWORD)
    for _ in range(4):
        sign_in.by_password("max", PASSWORD, HERE)


def test_failures_are_forgiven_in_time(
    accounts: Accounts, sign_in: SignIn, clock: ManualClock
) -> None:
    accounts.add("max", Role.MEMBER, password=PASSWORD)
    for _ in range(FREE_TRIES["pair"]):
        assert outcome(lambda: sign_in.by_password("max", "wrong", HERE)) == "NotAuthenticated"
    clock.advance(users.FORGIVEN_SECONDS + 1)
    for _ in range(FREE_TRIES["pair"]):
        assert outcome(lambda: sign_in.by_password("max", "wrong", HERE)) == "NotAuthenticated"
    assert outcome(lambda: sign_in.by_password("max", "wrong", HERE)) == "LimitReached"


def test_a_session_renewed_twice_at_once_goes_on(accounts: Accounts, sign_in: SignIn) -> None:
    accounts.add("max", Role.MEMBER)
    done = sign_in.by_link(accounts.login_link("max"), HERE)
    for _ in range(ROUNDS):
        fresh: list[SignedIn] = []
        token = done.refresh_token
        renew = [lambda token=token, fresh=fresh: fresh.append(sign_in.renew(token, HERE))] * 2
        assert together(*renew) == {"ok": 2}
        assert fresh[0].refresh_token == fresh[1].refresh_token
        done = fresh[0]


def test_a_link_used_twice_at_once_signs_in_once(accounts: Accounts, sign_in: SignIn) -> None:
    accounts.add("max", Role.MEMBER)
    for _ in range(ROUNDS):
        link = accounts.login_link("max")
        use = [lambda link=link: sign_in.by_link(link, HERE)] * 2
        assert together(*use) == {"ok": 1, "NotAuthenticated": 1}


def test_two_admins_cannot_both_go_at_once(accounts: Accounts) -> None:
    for name in ("ada", "eva"):
        accounts.add(name, Role.ADMIN)
    for _ in range(ROUNDS):
        gone = together(
            lambda: accounts.set_role("ada", Role.MEMBER), lambda: accounts.disable("eva")
        )
        assert gone == {"ok": 1, "Conflict": 1}
        accounts.set_role("ada", Role.ADMIN)
        outcome(lambda: accounts.enable("eva"))


def test_who_is_no_admin_may_change_though_there_is_none(accounts: Accounts) -> None:
    accounts.add("max", Role.MEMBER)
    accounts.set_password("max", "another horse")
    accounts.set_role("max", Role.VIEWER)
    accounts.disable("max")


def test_what_is_over_is_deleted(
    store: Store, home: Path, accounts: Accounts, sign_in: SignIn, clock: ManualClock
) -> None:
    accounts.add("max", Role.MEMBER, password=PASSWORD)
    sign_in.by_password("max", PASSWORD, HERE)
    accounts.login_link("max")
    outcome(lambda: sign_in.by_password("nobody", PASSWORD, HERE))
    clock.advance(SESSION_SECONDS + 1)
    Pruner(store, home / "logs", 86400.0)()
    with store.read() as tx:
        for table in (users.sessions, users.login_links, users.login_failures):
            assert not tx.conn.execute(table.select()).all()


@pytest.mark.parametrize("text", ["", "short", "\n" * 40])
def test_a_damaged_key_signs_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret"
    path.write_text(text)
    with pytest.raises(HomeUnusable, match="holds no key"):
        kept_key(path)
    path.unlink()
    assert kept_key(path) == kept_key(path)
    assert path.stat().st_mode & 0o077 == 0
