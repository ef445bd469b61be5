"""What other orgs, lesser roles, thieves and strangers get of each endpoint: nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from sqlalchemy import select

from runyard.config import Settings
from runyard.domain.listing import AuditFilter
from runyard.domain.user import Actor, Role, TokenScope
from runyard.policy.fits import Scope
from runyard.service.signin import SignIn
from runyard.store import registry, rules
from runyard.store.registry import WorkerInfo
from runyard.store.schema import metadata
from runyard.web.callers import COOKIE
from tests.store.support import claim, in_parallel, on_postgresql, on_sqlite
from tests.support.serving import PASSWORD, Serving, serving
from tests.web.endpoints import SAFE, Endpoint, endpoints

API = "/api/v1"
HUSH = "hush"  # stands in everything that acme does not want others to know

# These look, though they take a body.
LOOKING = {f"POST {API}/jobs/{word}" for word in ("members", "history", "wait")}
# Whoever is known may do these, to themselves and what is their own.
OF_ONESELF = {f"POST {API}/auth/revoke", f"POST {API}/tokens", f"PATCH {API}/users/{{name}}"}
OPEN = {f"GET {API}/health", f"POST {API}/auth/token"}


@dataclass(frozen=True)
class Acme:
    """An org with a job that runs, one that waits, and what belongs to them."""

    ids: dict[str, str]
    running: str

    @property
    def words(self) -> list[str]:
        """What must not be told to others."""
        return [HUSH, self.running, self.ids["job_id"], self.ids["batch_id"]]


@pytest.fixture
def acme(here: Serving, member: httpx.Client) -> Acme:
    places = (("s0", None),)
    here.store.write(lambda tx: registry.sign_on(tx, WorkerInfo("w1", "host", 1, 1, places=places)))
    spec = {
        "name": f"{HUSH}-name",
        "command": ["echo", f"{HUSH}-command"],
        "app_version_id": f"{HUSH}-build",
        "labels": {f"{HUSH}-label": f"{HUSH}-value"},
        "payload": {HUSH: HUSH},
        "env": {"HUSH": HUSH},
        "limit_key": "licence",
        "limit": 1,
    }
    batch = member.post(
        f"{API}/job-batches", json={"name": f"{HUSH}-batch", "jobs": [spec, {**spec, "name": "x"}]}
    ).json()
    (running,) = claim(here.store)
    found = member.get(f"{API}/jobs", params={"batch_id": batch["id"]}).json()["jobs"]
    (waiting,) = [job["id"] for job in found if job["state"] == "queued"]
    group = member.get(f"{API}/groups").json()["groups"][0]["id"]
    template = {"document": {"command": ["echo", HUSH]}}
    assert member.put(f"{API}/templates/{HUSH}-template", json=template).status_code == 200
    schedule = {
        "name": f"{HUSH}-schedule",
        "template": f"{HUSH}-template",
        "cron": "0 0 1 1 *",
        "parameters": {},
    }
    assert member.post(f"{API}/schedules", json=schedule).status_code == 201
    token = member.post(f"{API}/tokens", json={"name": f"{HUSH}-token"}).json()["id"]
    ids = {
        "job_id": waiting,
        "batch_id": batch["id"],
        "group": str(group),
        "templates": f"{HUSH}-template",
        "schedules": f"{HUSH}-schedule",
        "users": "max",
        "token_id": token,
        "device": "s0",
        "stream": "stdout",
        "scope": "org",
        "name": "acme",
    }
    return Acme(ids, running.id)


def invented(ids: dict[str, str]) -> dict[str, str]:
    """Ids of the same form that nothing has."""
    changed = {
        "job_id": "0" * 13,
        "batch_id": "b-" + "0" * 13,
        "group": "987654321",
        "templates": "no-template",
        "schedules": "no-schedule",
        "users": "nobody",
        "token_id": "0" * 16,
        "device": "no-device",
    }
    assert changed.keys() <= ids.keys()
    return {**ids, **changed}


def contents(here: Serving) -> dict[str, list[Any]]:
    """All that the database holds but the record of what was done, and of who came."""
    unimportant = {"audit", "login_failures", "sessions"}
    with here.store.read() as tx:
        return {
            table.name: sorted(
                map(str, tx.conn.execute(select(*(c for c in table.c if c.name != "used_at"))))
            )
            for table in metadata.sorted_tables
            if table.name not in unimportant
        }


def changing(client: httpx.Client) -> Iterator[Endpoint]:
    for endpoint in endpoints(client):
        if endpoint.method not in SAFE and str(endpoint) not in OPEN | LOOKING:
            yield endpoint


def verdict(answer: httpx.Response, ids: dict[str, str]) -> tuple[int, str]:
    """An answer without the ids that were asked for."""
    text = answer.text
    for one in sorted(ids.values(), key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(one)}\b", "ID", text)
    return answer.status_code, text


# Other orgs.


def test_what_is_another_orgs_looks_like_not_there(
    here: Serving, acme: Acme, stranger: httpx.Client
) -> None:
    before = contents(here)
    fake = invented(acme.ids)
    for endpoint in endpoints(stranger):
        if not endpoint.parameters("path") and "ids" not in endpoint.body(acme.ids).get("json", ()):
            continue
        real = endpoint.ask(stranger, acme.ids)
        made_up = endpoint.ask(stranger, fake)
        if str(endpoint) == f"PUT {API}/templates/{{name}}":
            assert real.json()["org_id"] == "other"  # one of their own, of the same name
            stranger.delete(endpoint.url(acme.ids))
            stranger.delete(endpoint.url(fake))
            continue
        assert verdict(real, acme.ids) == verdict(made_up, fake), endpoint
        assert real.status_code in (403, 404), f"{endpoint}: {real.text}"
    assert contents(here) == before


def test_no_list_tells_of_another_org(here: Serving, acme: Acme, stranger: httpx.Client) -> None:
    wanted = {
        "batch_id": acme.ids["batch_id"],
        "job_id": acme.ids["job_id"],
        "org_id": "acme",
        "submitted_by": "max",
        "app_version_id": f"{HUSH}-build",
        "label": f"{HUSH}-label",
        "q": "a",
        "user": "max",
    }
    for endpoint in [*endpoints(stranger)]:
        if endpoint.method != "GET" or endpoint.parameters("path") or endpoint.is_stream:
            continue
        asked = [{}]
        asked += [
            {one["name"]: wanted[one["name"]]}
            for one in endpoint.parameters("query")
            if one["name"] in wanted
        ]
        for params in asked:
            text = stranger.get(endpoint.path, params=params).text
            for secret in params.values():
                text = text.replace(secret, "")
            for word in acme.words:
                assert word not in text, f"{endpoint} {params}: {text}"


def test_no_event_tells_of_another_org(acme: Acme, stranger: httpx.Client) -> None:
    own = stranger.post(f"{API}/jobs", json={"command": ["true"]}).json()["id"]
    for params in ({}, {"kind": "claimed"}, {"kind": "submitted"}):
        with stranger.stream(
            "GET", f"{API}/events", params=params, headers={"Last-Event-ID": "0"}
        ) as answer:
            if params.get("kind") == "claimed":
                stranger.delete(f"{API}/jobs/{own}")
                continue
            line = next(line for line in answer.iter_lines() if line.startswith("data: "))
            assert own in line
    for params in ({"job_id": acme.ids["job_id"]}, {"batch_id": acme.ids["batch_id"]}):
        assert stranger.get(f"{API}/events", params=params).status_code == 404


def test_an_explanation_tells_nothing_of_another_org(
    here: Serving, acme: Acme, stranger: httpx.Client, colleague: httpx.Client
) -> None:
    # What their jobs ask for is nothing to others; what an admin sets counts those of all.
    here.store.write(lambda tx: rules.limit(tx, Scope.KEY, "licence", 1))
    own = {"command": ["true"], "limit_key": "licence", "limit": 1}
    job = stranger.post(f"{API}/jobs", json=own).json()["id"]
    found = stranger.get(f"{API}/jobs/{job}/explain")
    assert found.json()["code"] == "limit"
    assert found.json()["held_by"] == []
    for word in acme.words:
        assert word not in found.text
    theirs = colleague.get(f"{API}/jobs/{acme.ids['job_id']}/explain").json()
    assert theirs["held_by"] == [acme.running]


def test_nothing_is_submitted_for_or_behind_another_org(
    here: Serving, acme: Acme, stranger: httpx.Client
) -> None:
    before = contents(here)
    spec = {"command": ["true"]}
    for status, path, body in (
        (403, "jobs", {**spec, "org_id": "acme"}),
        (403, "jobs", [spec, {**spec, "org_id": "acme"}]),
        (403, "job-batches", {"org_id": "acme", "jobs": [spec]}),
        (403, "job-batches", {"jobs": [{**spec, "org_id": "acme"}]}),
        (404, "jobs", {**spec, "depends_on": [acme.ids["job_id"]]}),
        (404, "job-batches", {"jobs": [{**spec, "depends_on": [acme.running]}]}),
    ):
        answer = stranger.post(f"{API}/{path}", json=body)
        assert answer.status_code == status, (body, answer.text)
    assert contents(here)["jobs"] == before["jobs"]


def test_an_idempotency_key_is_of_one_org(member: httpx.Client, stranger: httpx.Client) -> None:
    body = {"command": ["true"], "idempotency_key": "night"}
    theirs, own = (client.post(f"{API}/jobs", json=body).json() for client in (member, stranger))
    assert theirs["id"] != own["id"]
    assert (theirs["org_id"], own["org_id"]) == ("acme", "other")
    other = {**body, "command": ["false"]}
    assert stranger.post(f"{API}/jobs", json=other).status_code == 409


# Lesser roles.


def lesser(here: Serving) -> dict[str, str]:
    """Tokens of those who may look at acme's jobs, but change none of max's."""
    here.user("low", Role.VIEWER, "acme")
    tokens = {"viewer": here.accounts.create_token("t", TokenScope.FULL, user="low")[1]}
    for name, whose in (("reader", "max"), ("reading admin", "ada")):
        tokens[name] = here.accounts.create_token("t", TokenScope.READ, user=whose)[1]
    return tokens


def test_who_may_only_look_changes_nothing(here: Serving, acme: Acme) -> None:
    here.user("ada", Role.ADMIN, "acme")
    tokens = lesser(here)
    before = contents(here)
    for who, token in tokens.items():
        with here.client(token) as client:
            for endpoint in changing(client):
                if str(endpoint) in OF_ONESELF and who == "viewer":
                    continue
                answer = endpoint.ask(client, acme.ids)
                if str(endpoint) == f"POST {API}/auth/revoke":
                    assert answer.status_code == 204  # a token has no session to end
                    continue
                not_theirs = "token_id" in endpoint.path and who == "viewer"
                assert answer.status_code == (404 if not_theirs else 403), (
                    f"{endpoint} as {who}: {answer.status_code} {answer.text}"
                )
        assert contents(here) == before, who


def test_a_viewer_grants_nobody_anything(here: Serving, acme: Acme, viewer: httpx.Client) -> None:
    here.user("ada", Role.ADMIN)
    before = contents(here)
    for method, path, body in (
        ("POST", "/tokens", {"name": "t", "user": "ada"}),
        ("PATCH", "/users/vic", {"role": "admin"}),
        ("PATCH", "/users/max", {"password": "my own password"}),
        ("PATCH", "/users/vic", {"disabled": False}),
        ("PATCH", "/users/vic", {"role": "admin", "password": None}),
    ):
        answer = viewer.request(method, f"{API}{path}", json=body)
        assert answer.status_code == 403, answer.text
    assert contents(here) == before


def test_a_change_is_made_whole_or_not_at_all(here: Serving, viewer: httpx.Client) -> None:
    """One's own password may be changed, one's role may not: then neither is."""
    before = contents(here)["users"]
    body = {"password": "another horse", "role": "admin"}
    assert viewer.patch(f"{API}/users/vic", json=body).status_code == 403
    assert contents(here)["users"] == before


def test_a_token_alone_does_not_change_a_password(here: Serving, member: httpx.Client) -> None:
    before = contents(here)["users"]
    for current in ({}, {"current_password": "wrong horse"}):
        answer = member.patch(f"{API}/users/max", json={"password": "another horse", **current})
        assert (answer.status_code, "current password" in answer.text) == (403, True)
    assert contents(here)["users"] == before
    body = {"password": "another horse", "current_password": PASSWORD}
    assert member.patch(f"{API}/users/max", json=body).status_code == 200
    assert contents(here)["users"] != before


def test_a_member_does_nothing_to_others_or_to_the_yard(
    here: Serving, acme: Acme, colleague: httpx.Client
) -> None:
    before = contents(here)
    # What is submitted is one's own, and everybody runs the templates of their org.
    own = {
        f"POST {API}/jobs",
        f"POST {API}/job-batches",
        f"POST {API}/schedules",
        f"POST {API}/templates/{{name}}/run",
    }
    for endpoint in changing(colleague):
        if str(endpoint) in own | OF_ONESELF:
            continue
        answer = endpoint.ask(colleague, acme.ids)
        wanted = 404 if "token_id" in endpoint.path else 403
        assert answer.status_code == wanted, f"{endpoint}: {answer.text}"
    for path in ("/users", "/users/max", "/audit", "/admin/limits", "/tokens?user=max"):
        assert colleague.get(f"{API}{path}").status_code == 403, path
    assert contents(here) == before


def test_every_change_is_on_record(here: Serving, acme: Acme, admin: httpx.Client) -> None:
    """Who made it, and from where."""
    form = {"username": "ada", "password": PASSWORD}
    done = here.client().post(f"{API}/auth/token", data=form).json()["access_token"]
    with here.client(done) as signed_in:
        assert signed_in.post(f"{API}/auth/revoke").status_code == 204
    assert here.accounts.audit(limit=1)[0].action == "sign_out"
    tried = 0
    for endpoint in changing(admin):
        if str(endpoint) == f"POST {API}/auth/revoke":
            continue
        (before,) = here.accounts.audit(limit=1)
        if endpoint.ask(admin, acme.ids).status_code >= 300:
            continue
        tried += 1
        entries = [one for one in here.accounts.audit(limit=5) if one.seq > before.seq]
        assert entries, endpoint
        assert {(one.actor, one.address) for one in entries} == {("ada", "127.0.0.1")}
    assert tried > 15


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


# What browsers may do with answers.


@on_sqlite
def test_every_answer_says_what_browsers_may_do(here: Serving, member: httpx.Client) -> None:
    form = {"username": "max", "password": PASSWORD}
    for answer in (
        member.get(f"{API}/jobs"),
        member.get(f"{API}/nothing"),
        member.get("/openapi.json"),
        member.post(f"{API}/jobs", content=b"{"),
        member.get(f"{API}/users"),
        member.put(f"{API}/jobs"),
        here.client().get(f"{API}/jobs"),
        here.client().post(f"{API}/auth/token", data=form),
        member.post(f"{API}/tokens", json={"name": "t"}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers
        assert "set-cookie" not in answer.headers


@on_sqlite
def test_what_people_write_stays_what_they_wrote(here: Serving, member: httpx.Client) -> None:
    """Markup, escape sequences and line ends neither become pages nor messages of ours."""
    nasty = "<script>alert(1)</script>\x1b[2J\r\n\r\nevent: end\ndata: {}"
    spec = {"name": nasty, "command": ["x"], "labels": {nasty: nasty}, "payload": nasty}
    job = member.post(f"{API}/jobs", json=spec).json()
    assert (job["name"], job["labels"]) == (nasty, {nasty: nasty})
    answer = member.get(f"{API}/jobs/{job['id']}")
    assert answer.headers["content-type"] == "application/json"
    assert "\x1b" not in answer.text
    assert member.get(f"{API}/jobs", params={"q": "<script>", "label": nasty}).json()["jobs"]
    file = member.get(f"{API}/jobs/{job['id']}/logs/stdout")
    assert file.headers["content-type"] == "text/plain; charset=utf-8"
    assert file.headers["content-disposition"].startswith("attachment;")
    with member.stream("GET", f"{API}/jobs/{job['id']}/logs", params={"follow": 1}) as stream:
        member.delete(f"{API}/jobs/{job['id']}")
        lines = [line for line in stream.iter_lines() if line]
    assert [line for line in lines if line.startswith(("event", "data"))] == [
        "event: end",
        'data: {"state":"cancelled"}',
    ]


@on_sqlite
@pytest.mark.parametrize(
    "path", ["../secret", "..%2fsecret", "%2e%2e/secret", "/etc/passwd", "a%00"]
)
def test_no_path_leads_out(here: Serving, acme: Acme, member: httpx.Client, path: str) -> None:
    job = acme.ids["job_id"]
    for url in (
        f"/static/{path}",
        f"{API}/jobs/{job}/logs/{path}",
        f"{API}/jobs/{path}/logs/stdout",
        f"{API}/jobs/{job}/logs?step={path}",
    ):
        answer = member.get(url)
        assert answer.status_code in (404, 405, 422), url


@on_sqlite
@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_a_log_that_a_job_replaced_is_not_read(
    here: Serving, acme: Acme, member: httpx.Client, tmp_path: Path, kind: str
) -> None:
    """Jobs can: a link might lead to what only the server may read, and a pipe would keep one
    of its few threads for ever."""
    secret = tmp_path / "key"
    secret.write_text(HUSH * 100)
    jobs = here.running.app.state.place.jobs(Actor("operator"))
    files = jobs.log_paths(jobs.get(acme.running))
    files.stdout.parent.mkdir(parents=True, exist_ok=True)
    make = {
        "link": lambda: files.stdout.symlink_to(secret),
        "pipe": lambda: os.mkfifo(files.stdout),
        "directory": files.stdout.mkdir,
    }
    make[kind]()
    path = f"{API}/jobs/{acme.running}/logs"
    for ask in ({"url": path}, {"url": f"{path}/stdout"}, {"url": f"{path}/stdout?tail=99"}):
        answer = member.get(timeout=10, **ask)
        assert answer.status_code == 200
        assert HUSH not in answer.text
    with member.stream("GET", path, params={"follow": 1}) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": hello"
        member.post(f"{API}/jobs/{acme.running}/force-complete")
        assert HUSH not in "".join(lines)


# Secrets.


@on_sqlite
def test_no_answer_tells_a_secret(here: Serving, acme: Acme, admin: httpx.Client) -> None:
    """Texts of tokens, hashes, keys: not even admins are told, but for a new token's own."""
    sign_in = here.running.app.state.place.sign_in
    done = sign_in.by_link(link := here.accounts.login_link("max"), "here")
    made = admin.post(f"{API}/tokens", json={"name": "t", "user": "max"}).json()["token"]
    secrets = [made.split("_", 2)[2], done.refresh_token, done.access_token, link, PASSWORD]
    secrets += [*sign_in.signer.keys, "argon2"]
    with here.store.read() as tx:
        for table in ("sessions", "api_tokens", "login_links"):
            column = metadata.tables[table].c.secret
            secrets += tx.conn.execute(select(column)).scalars()
    assert len(secrets) > 8
    asked = [
        endpoint.ask(admin, acme.ids)
        for endpoint in endpoints(admin)
        if endpoint.method == "GET" and not endpoint.is_stream
    ]
    asked.append(admin.get("/openapi.json"))
    asked.append(admin.get(f"{API}/tokens", params={"user": "*"}))
    wrong = {"grant_type": "password", "username": "max", "password": "wrong " + PASSWORD}
    asked.append(admin.post(f"{API}/auth/token", data=wrong))
    asked.append(admin.post(f"{API}/users", json={"name": "?", "password": PASSWORD}))
    for answer in asked:
        for secret in secrets:
            assert secret not in answer.text, answer.request.url


@on_sqlite
def test_what_the_database_says_is_for_the_log(
    here: Serving, member: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    place = here.store.url.removeprefix("sqlite:///")
    here.store.write(lambda tx: tx.conn.exec_driver_sql("DROP TABLE api_tokens").close())
    for path in (f"{API}/jobs", "/login?link=x", "/jobs"):
        answer = member.get(path)
        assert place not in answer.text
        assert "api_tokens" not in answer.text
    assert member.get(f"{API}/jobs").status_code == 503
    assert "api_tokens" in caplog.text


# Many at once.


@on_postgresql
def test_a_quota_holds_against_a_crowd(
    here: Serving, admin: httpx.Client, member: httpx.Client, colleague: httpx.Client
) -> None:
    for scope, name, most in (("org", "acme", 7), ("user", "*", 5)):
        limit = {"scope": scope, "name": name, "waiting": most}
        assert admin.put(f"{API}/admin/limits", json=limit).status_code == 200
    ask = [
        lambda client=client: client.post(f"{API}/jobs", json={"command": ["true"]}).status_code
        for client in (member, colleague) * 8
    ]
    codes = in_parallel(*ask)
    assert (codes.count(202), codes.count(429)) == (7, 9)


def test_limits_are_changed_whole_or_not_at_all(here: Serving, admin: httpx.Client) -> None:
    before = contents(here)
    for body in (
        {"scope": "target", "name": "phone", "running": 3, "waiting": 5},
        {"scope": "user", "name": "*", "running": 3, "waiting": 5},
    ):
        assert admin.put(f"{API}/admin/limits", json=body).status_code == 400
    assert contents(here) == before


def test_a_quota_holds_against_retrying(
    here: Serving, admin: httpx.Client, member: httpx.Client
) -> None:
    limit = {"scope": "user", "name": "max", "waiting": 2}
    assert admin.put(f"{API}/admin/limits", json=limit).status_code == 200
    ids = []
    for _ in range(3):
        job = member.post(f"{API}/jobs", json={"command": ["true"]}).json()["id"]
        member.delete(f"{API}/jobs/{job}")
        ids.append(job)
    answer = member.post(f"{API}/jobs/retry", json={"ids": ids})
    assert answer.status_code == 429
    assert "user max may have 2 jobs waiting" in answer.json()["detail"]
    assert member.post(f"{API}/jobs/retry", json={"ids": ids[:2]}).status_code == 202
    assert member.post(f"{API}/jobs/{ids[2]}/retry").status_code == 429
    assert admin.post(f"{API}/jobs/{ids[2]}/retry").status_code == 202


def test_who_signs_in_as_json_is_told_that_it_is_a_form(here: Serving) -> None:
    with here.client() as client:
        answer = client.post(f"{API}/auth/token", json={"username": "max", "password": PASSWORD})
    assert answer.status_code == 400
    assert "as a form" in answer.json()["detail"]
