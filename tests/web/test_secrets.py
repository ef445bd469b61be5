"""What answers tell and allow to whoever is known."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from runyard.domain.user import Actor
from runyard.store.schema import metadata
from tests.store.support import in_parallel, on_postgresql, on_sqlite
from tests.support.serving import PASSWORD, Serving
from tests.web.acme import (
    API,
    HUSH,
    Acme,
    contents,
)
from tests.web.endpoints import endpoints

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
