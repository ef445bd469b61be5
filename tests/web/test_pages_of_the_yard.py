"""Devices, groups, templates, the pages of admins, one's own, and the API's."""

from __future__ import annotations

import re

import pytest

from runyard.domain.user import Role
from runyard.service import lookout
from runyard.store import registry
from runyard.store.registry import WorkerInfo
from tests.store.support import on_sqlite
from tests.support.browsing import Browser, browser
from tests.support.serving import PASSWORD, Serving

ADMIN_PAGES = ("/admin/users", "/admin/tokens", "/admin/limits", "/admin/audit")
PAGES = ("/devices", "/groups", "/templates", "/profile", "/docs", *ADMIN_PAGES)


@pytest.fixture
def worker(here: Serving) -> str:
    """The id of a worker with two slots that only signed on."""
    places = (("1", None), ("<pixel>", "device"))
    info = WorkerInfo("w-test", "host", 1, 2, places=places)
    here.store.write(lambda tx: registry.sign_on(tx, info))
    return info.id


@on_sqlite
def test_pages_need_nothing_that_the_policy_forbids(ada: Browser, worker: str) -> None:
    for path in PAGES:
        answer = ada.get(path)
        assert answer.status_code == 200, path
        assert answer.text.count("<h1>") == 1
        assert not re.search(r"<[^>]+\s(style|on\w+)=", answer.text)
        assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)", answer.text)


@on_sqlite
def test_pages_of_admins_are_neither_shown_nor_given_to_others(max_: Browser, worker: str) -> None:
    assert "/admin/" not in max_.get("/").text
    for path in ADMIN_PAGES:
        assert max_.get(path).status_code == 403
    assert "Drain" not in max_.get("/devices").text
    assert re.findall(r'<form method="post" action="([^"]+)"', max_.get("/groups").text) == [
        "/logout"
    ]
    refused = {
        "/devices/drain": {"device": "1"},
        "/devices/resume": {"device": "1"},
        "/pauses": {"scope": "org", "name": "acme"},
        "/pauses/lift": {"scope": "org", "name": "acme"},
        "/admin/users": {"name": "eve"},
        "/admin/users/role": {"name": "max", "role": "admin"},
        "/admin/users/password": {"name": "ada", "password": PASSWORD},
        "/admin/users/disable": {"name": "max"},
        "/admin/users/enable": {"name": "max"},
        "/admin/users/link": {"name": "max"},
        "/admin/limits": {"scope": "user", "name": "max", "most": "1"},
    }
    for path, fields in refused.items():
        assert max_.post(path, **fields).status_code == 403, path


# The yard.


def test_devices_are_drained_and_resumed(ada: Browser, worker: str) -> None:
    page = ada.get("/devices").text
    assert "&lt;pixel&gt;" in page
    assert page.count(">Drain</button>") == 2
    drained = ada.post("/devices/drain", device=f"{worker}/<pixel>")
    assert drained.headers["location"] == "/devices?said=drained"
    page = ada.get("/devices").text
    assert "drained by hand" in page
    assert page.count(">Resume</button>") == 1
    ada.post("/devices/resume", device=f"{worker}/<pixel>")
    assert "drained by hand" not in ada.get("/devices?hours=24").text


@on_sqlite
def test_what_is_counted_of_devices_is_counted_since_it_says(
    ada: Browser, worker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Ended, last hour<" in ada.get("/devices").text
    for _ in range(2):
        job = ada.make(command="true").removeprefix("/jobs/")
        ada.post(f"/jobs/{job}/complete")
    monkeypatch.setattr(lookout, "MOST_SPANS", 1)
    page = ada.get("/devices?hours=24").text
    assert "Ended since " in page
    assert "only those since" in page


def test_groups_and_targets_are_paused(ada: Browser, max_: Browser) -> None:
    max_.make(command="true", name="first", app_version_id="v1", target="emulator")
    page = ada.get("/groups").text
    assert "next: first" in page
    group = re.search(r'id="group-(\d+)"', page)
    assert group
    ada.post("/pauses", scope="group", name=group[1])
    ada.post("/pauses", scope="target", name="emulator")
    ada.post("/pauses", scope="org", name="other")
    assert ada.get("/groups").text.count('class="state paused"') == 3
    assert max_.get("/groups").text.count('class="state paused"') == 2  # of others, nothing
    ada.post("/pauses/lift", scope="group", name=group[1])
    ada.post("/pauses/lift", scope="target", name="emulator")
    assert max_.get("/groups").text.count('class="state paused"') == 0
    cancel = f"/groups/{group[1]}/cancel"
    assert (
        f'action="{cancel}"' in ada.get("/groups").text,
        cancel in max_.get("/groups").text,
    ) == (
        True,
        False,
    )
    assert ada.post(cancel).status_code == 303
    assert "next: first" not in ada.get("/groups").text


# Admin.


@on_sqlite
def test_users_are_added_changed_and_let_in(here: Serving, ada: Browser) -> None:
    assert ada.post("/admin/users", name="eve", role="viewer", org="acme").status_code == 303
    again = ada.post("/admin/users", name="eve", role="member", org="acme")
    assert again.status_code == 409
    assert "There is a user &#39;eve&#39; already" in again.text
    assert ada.post("/admin/users", name="no good").status_code == 400
    ada.post("/admin/users/role", name="eve", role="member")
    assert here.accounts.get("eve").role is Role.MEMBER
    assert ada.post("/admin/users/password", name="eve", password="short").status_code == 400
    ada.post("/admin/users/password", name="eve", password=PASSWORD)
    link = re.search(r"/login\?link=([\w-]+)", ada.post("/admin/users/link", name="eve").text)
    assert link
    with browser(here.url) as eve:
        assert eve.follow(link[1]).status_code == 303
        ada.post("/admin/users/disable", name="eve")
        assert eve.get("/").status_code == 303
    assert 'class="state disabled"' in ada.get("/admin/users").text
    ada.post("/admin/users/enable", name="eve")
    assert ada.post("/admin/users/role", name="ada", role="viewer").status_code == 409


@on_sqlite
def test_limits_are_set_and_lifted(ada: Browser) -> None:
    def put(scope: str, name: str, kind: str, most: str) -> int:
        return ada.post("/admin/limits", scope=scope, name=name, kind=kind, most=most).status_code

    assert put("org", "acme", "running", "12") == 303
    assert put("user", "*", "waiting", "5000") == 303
    page = ada.get("/admin/limits").text
    assert "0 of <b>12</b>" in page
    assert "<b>5,000</b>" in page
    assert put("target", "local", "waiting", "3") == 400
    assert put("user", "*", "running", "3") == 400
    assert put("org", "acme", "running", "-1") == put("org", "acme", "running", "many") == 400
    assert put("org", "acme", "running", "") == 303
    assert "acme" not in ada.get("/admin/limits").text


@on_sqlite
def test_what_waits_is_shown_beside_its_limit(ada: Browser) -> None:
    for _ in range(2):
        ada.make(command="true")
    quota = {"scope": "org", "name": "default", "kind": "waiting"}
    ada.post("/admin/limits", most="3", **quota)
    assert "2 of <b>3</b>" in ada.get("/admin/limits").text
    ada.post("/admin/limits", most="1", **quota)
    assert "more than <b>1</b>" in ada.get("/admin/limits").text


@on_sqlite
def test_the_audit_tells_who_did_what(ada: Browser, max_: Browser) -> None:
    max_.make(command="true", name="x")
    assert "127.0.0.1" in ada.get("/admin/audit").text
    only = ada.get("/admin/audit?actor=max&action=submit").text
    assert only.count(">submit</a>") == 1
    assert ">sign_in</a>" not in only


# One's own.


@on_sqlite
def test_tokens_are_shown_once_and_revoked(here: Serving, max_: Browser, ada: Browser) -> None:
    made = max_.post("/profile/tokens", name="ci", scope="submit", days="30").text
    token = re.search(r"ryt_[\w-]+", made)
    assert token
    assert token[0] not in max_.get("/profile").text
    with here.client(token[0]) as program:
        assert program.get("/api/v1/auth/me").json()["scope"] == "submit"
        token_id = token[0].split("_")[1]
        assert token_id in ada.get("/admin/tokens").text
        assert max_.post("/profile/tokens/revoke", token=token_id).status_code == 303
        assert program.get("/api/v1/auth/me").status_code == 401
    assert max_.post("/profile/tokens", name="", scope="read").status_code == 400


@on_sqlite
def test_a_password_is_changed_by_who_knows_it(here: Serving) -> None:
    here.user("max", Role.MEMBER, "acme")
    with browser(here.url) as one, browser(here.url) as other:
        one.sign_in("max", PASSWORD)
        other.sign_in("max", PASSWORD)
        fresh = "another good one"
        wrong = one.post("/profile/password", current="not this one", wanted=fresh)
        assert wrong.status_code == 400
        assert "The present password is wrong" in wrong.text
        assert one.post("/profile/password", current=PASSWORD, wanted="short").status_code == 400
        assert one.post("/profile/password", current=PASSWORD, wanted=fresh).status_code == 303
        assert one.get("/").status_code == 200  # signed in anew
        assert other.get("/").status_code == 303
        other.sign_in("max", fresh)


# The API, to be read.


@on_sqlite
def test_the_api_is_described_to_anybody(here: Serving) -> None:
    with browser(here.url) as nobody:
        page = nobody.get("/docs").text
    for part in ("/api/v1/job-batches/{batch_id}", "A quota is used up", 'id="NewJob"'):
        assert part in page
