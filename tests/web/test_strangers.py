"""What thieves and strangers get of each endpoint, and what strange requests do: nothing."""

from __future__ import annotations

from pathlib import Path

import httpx
import jwt
import pytest

from runyard.config import Settings
from runyard.domain.listing import AuditFilter
from runyard.domain.user import Role, TokenScope
from runyard.service.signin import SignIn
from runyard.web.callers import COOKIE
from tests.store.support import on_postgresql, on_sqlite
from tests.support.serving import PASSWORD, Serving, serving
from tests.web.acme import (
    API,
    OPEN,
    Acme,
    changing,
    contents,
)
from tests.web.endpoints import Endpoint, endpoints

# Thieves.


def test_nobody_is_told_anything(here: Serving, acme: Acme) -> None:
    """Without credentials, with wrong, expired, revoked and tampered ones."""
    here.user("dis", Role.MEMBER)
    signer = SignIn(here.store, here.running.app.state.place.sign_in.signer).signer
    disabled = here.accounts.create_token("t", TokenScope.FULL, user="dis")[1]
    here.accounts.disable("dis")
    revoked, revoked_text = here.accounts.create_token("t", TokenScope.FULL, user="max")
    here.accounts.revoke_token(revoked.id)
    expired = here.accounts.create_token("t", TokenScope.FULL, days=1e-9, user="max")[1]
    session = here.running.app.state.place.sign_in.by_link(here.accounts.login_link("max"), "here")
    head, payload, signature = session.access_token.split(".")
    claims = jwt.decode(session.access_token, signer.keys[0], ["HS256"])
    bad = {
        "nothing": None,
        "disabled": disabled,
        "revoked": revoked_text,
        "expired": expired,
        "wrong secret": f"{revoked_text[:-4]}AAAA",
        "signed, expired": signer.sign(claims["sid"], -60),
        "signed by another": jwt.encode(claims, "x" * 40, "HS256"),
        "not signed": jwt.encode(claims, "", "none"),
        "cut": f"{head}.{payload}.{signature[:-4]}AAAA",
        "refresh token": session.refresh_token,
    }
    before = contents(here)
    with here.client() as client:
        every = [one for one in endpoints(client) if str(one) not in OPEN]
        assert not any(endpoint.is_public for endpoint in every)
        for number, (how, token) in enumerate(bad.items()):
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            # Each endpoint without credentials; the rest is decided at one place.
            for endpoint in every if number == 0 else every[:1]:
                answer = endpoint.ask(client, acme.ids, headers=headers)
                assert answer.status_code == 401, f"{endpoint} with {how}: {answer.text}"
                assert answer.headers["www-authenticate"] == "Bearer"
    assert contents(here) == before


def test_a_cookie_alone_changes_nothing(here: Serving, acme: Acme) -> None:
    """Browsers send it with whatever another site has them ask."""
    here.user("ada", Role.ADMIN)
    sign_in = here.running.app.state.place.sign_in
    for name in ("max", "ada"):
        done = sign_in.by_link(here.accounts.login_link(name), "here")
        before = contents(here)
        with here.client() as client:
            client.cookies.set(COOKIE, done.refresh_token)
            assert client.get(f"{API}/auth/me").json()["name"] == name
            for endpoint in changing(client):
                answer = endpoint.ask(client, acme.ids, headers={"Origin": "https://evil.example"})
                assert answer.status_code == 403, f"{endpoint}: {answer.text}"
                assert "access-control-allow-origin" not in answer.headers
        assert contents(here) == before


# Strange requests.


@on_postgresql
@pytest.mark.parametrize(
    "cookie", [r'"a\000.b"', r'"a\000.b\000"', ".", "a b.c", r'"\355\240\200.x"']
)
def test_a_cookie_that_is_none_of_ours_is_nobodys(here: Serving, cookie: str) -> None:
    """Whatever it holds; what is quoted in it may be any byte."""
    with here.client(Cookie=f"{COOKIE}={cookie}") as client:
        assert client.get(f"{API}/auth/me").status_code == 401
        assert client.get("/login").status_code == 200
        assert client.get("/").status_code == 303


@on_postgresql
def test_nul_is_refused_in_every_place(here: Serving, acme: Acme, admin: httpx.Client) -> None:
    """PostgreSQL takes none; what it says then is no answer."""
    for endpoint in endpoints(admin):
        for one in [*endpoint.parameters("path"), *endpoint.parameters("query")]:
            ids = {**acme.ids}
            params = endpoint.query(acme.ids)
            if one["in"] == "query":
                params[one["name"]] = "a\0b"
            url = endpoint.url(ids)
            if one["in"] == "path":
                url = endpoint.path.replace(f"{{{one['name']}}}", "a%00b")
                url = Endpoint(endpoint.method, url, endpoint.operation, {}).url(ids)
            body = endpoint.body(ids)
            answer = admin.request(endpoint.method, url, params=params, **body)
            assert answer.status_code in (404, 422), f"{endpoint} {one['name']}: {answer.text}"
    for field in ("username", "refresh_token"):
        for grant in ("password", "refresh_token"):
            form = {"grant_type": grant, field: "a\0b", "password": "x"}
            assert admin.post(f"{API}/auth/token", data=form).status_code in (401, 422)


@on_sqlite
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"[" * 5_000 + b"]" * 5_000,
        b'{"command":["x"],"payload":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"command":["\\ud800"]}',
        b'{"command":["x"],"\\ud800":1}',
        b'{"command":["x"],"env":{"\\ud800":"\\udfff"}}',
        b'{"command":["x"],"labels":{"\\ud800":"x"}}',
        b'{"command":["x"],"payload":{"a":"\\ud800"}}',
        b'{"command":["x"],"priority":' + b"9" * 10_000 + b"}",
        b'{"command":["x"],"priority":1e999}',
        b'{"command":["x"],"limit_key":"k","limit":9223372036854775808}',
        b'{"command":["x"],"timeout":NaN}',
        b'{"command":["x"],"run_after":Infinity}',
        b'{"command":["x"],"payload":-Infinity}',
        b"\xff\xfe",
        b"",
        b"null",
    ],
    ids=lambda body: body[:24].decode("ascii", "replace"),
)
def test_json_that_is_no_request_is_refused(member: httpx.Client, body: bytes) -> None:
    for path in ("/jobs", "/job-batches"):
        answer = member.post(
            f"{API}{path}", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["detail"]
        assert len(answer.content) < 10_000
    assert member.get(f"{API}/jobs").json()["jobs"] == []


@on_sqlite
def test_a_crowd_of_labels_is_refused(member: httpx.Client) -> None:
    params = {"label": [str(number) for number in range(2000)]}
    assert member.get(f"{API}/jobs", params=params).status_code == 422


@on_sqlite
def test_what_is_not_there_is_said_in_json(here: Serving, member: httpx.Client) -> None:
    for path in (
        f"{API}/",
        f"{API}/nothing",
        f"{API}/jobs/",
        f"{API}/jobs/..%2f..%2fetc",
        "/debug/",
    ):
        for client in (member, here.client()):
            answer = client.get(path)
            assert answer.status_code in (404, 422, 401), path
            assert answer.json()["detail"]
            assert "location" not in answer.headers
    for method in ("HEAD", "OPTIONS", "TRACE", "PROPFIND", "PUT"):
        answer = member.request(method, f"{API}/jobs")
        assert answer.status_code == 405
        assert "access-control-allow-origin" not in answer.headers
    assert member.request("NONSENSE", f"{API}/jobs").status_code == 400


@on_sqlite
def test_the_host_that_a_request_names_is_not_believed(here: Serving, member: httpx.Client) -> None:
    evil = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-For": "8.8.8.8",
    }
    for path in ("/", f"{API}/jobs/", "/login", f"{API}/health", "/nothing"):
        answer = member.get(path, headers=evil, follow_redirects=False)
        assert "evil.example" not in str(answer.headers) + answer.text
    form = {"username": "max", "password": PASSWORD}
    assert here.client().post(f"{API}/auth/token", data=form, headers=evil).status_code == 200
    entry = here.accounts.audit(AuditFilter(action="sign_in"))[0]
    assert entry.address == "127.0.0.1"


@on_sqlite
@pytest.mark.parametrize(
    ("trusted", "said", "wanted"),
    [
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
        ("127.0.0.0/8, ::1", "198.51.100.9, 192.0.2.7, 127.0.0.2", "192.0.2.7"),
        ("10.0.0.1", "192.0.2.7", "127.0.0.1"),
        ("", "192.0.2.7", "127.0.0.1"),
    ],
)
def test_where_a_request_comes_from_is_told_by_trusted_proxies_only(
    home: Path, store_url: str, trusted: str, said: str, wanted: str
) -> None:
    """Of several addresses the last counts that no proxy of ours has: others can be made up."""
    environment = {"RUNYARD_TRUSTED_PROXIES": trusted}
    with serving(Settings.load(home, store_url, environment)) as here:
        here.user("ada", Role.ADMIN)
        headers = {"X-Forwarded-For": said, "X-Forwarded-Proto": "https"}
        form = {"username": "ada", "password": PASSWORD}
        answer = here.client().post(f"{API}/auth/token", data=form, headers=headers)
        assert answer.status_code == 200
        assert here.accounts.audit(AuditFilter(action="sign_in"))[0].address == wanted


def test_who_signs_in_as_json_is_told_that_it_is_a_form(here: Serving) -> None:
    with here.client() as client:
        answer = client.post(f"{API}/auth/token", json={"username": "max", "password": PASSWORD})
    assert answer.status_code == 400
    assert "as a form" in answer.json()["detail"]
