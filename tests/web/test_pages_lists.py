"""Lists are narrowed by their address, under the names that the API has."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import urlencode

import pytest

from runyard import bootstrap
from runyard.domain.user import Role
from runyard.service import drafts
from runyard.service.jobs import Jobs
from runyard.store import registry
from runyard.store.registry import WorkerInfo
from tests.store.support import on_sqlite
from tests.support.browsing import Browser, filled_in
from tests.support.serving import Serving

pytestmark = on_sqlite


def names(page: str) -> list[str]:
    """What the rows of a list are called."""
    return [unescape(name) for name in re.findall(r'<(?:a|span) class="name"[^>]*>([^<]*)<', page)]


def chips(page: str) -> dict[str, str]:
    """What takes away each thing that a list is narrowed to, by its words."""
    found = re.findall(r'<a class="chip" href="([^"]*)" aria-label="Show without ([^"]*)"', page)
    return {unescape(words): unescape(href) for href, words in found}


@pytest.fixture
def yard(jobs: Jobs) -> None:
    """Jobs that differ in all that a list can be narrowed by."""
    for number, (org, target, build, labels) in enumerate(
        [
            ("acme", "emulator", "v1", {"suite": "night", "slow": ""}),
            ("acme", "emulator", "v2", {"suite": "night"}),
            ("other", "device", "v1", {"suite": "day"}),
        ]
    ):
        fields = {"command": "true", "name": f"job {number}", "org_id": org, "labels": labels}
        jobs.submit(drafts.validated({**fields, "target": target, "app_version_id": build}))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"app_version_id": "v1"}, ["job 2", "job 0"]),
        ({"target": "device"}, ["job 2"]),
        ({"org_id": "acme", "q": "1"}, ["job 1"]),
        ({"label": "slow"}, ["job 0"]),
        ({"submitted_by": "nobody"}, []),
        ({"state": "failed"}, []),
        ({"state": "", "q": "", "label": ""}, ["job 2", "job 1", "job 0"]),
    ],
)
def test_jobs_are_narrowed(
    ada: Browser, yard: None, asked: dict[str, str], found: list[str]
) -> None:
    assert names(ada.get(f"/jobs?{urlencode(asked)}").text) == found


def test_each_thing_that_a_list_is_narrowed_to_can_be_taken_away(ada: Browser, yard: None) -> None:
    asked = [("state", "queued"), ("q", "job"), ("label", "suite=night"), ("label", "slow")]
    page = ada.get(f"/jobs?{urlencode(asked)}").text
    assert names(page) == ["job 0"]
    found = chips(page)
    assert list(found) == ["name job", "label suite=night", "label slow"]
    assert found["label slow"] == "/jobs?state=queued&q=job&label=suite%3Dnight"
    assert names(ada.get(found["label slow"]).text) == ["job 1", "job 0"]
    # The form keeps the rest of the address.
    assert filled_in(page).items() >= {"state": "queued", "q": "job"}.items()


def test_what_a_member_cannot_tell_apart_is_not_asked(max_: Browser, yard: None) -> None:
    page = max_.get("/jobs").text
    assert names(page) == ["job 1", "job 0"]
    assert 'name="org_id"' not in page
    assert names(max_.get("/jobs?org_id=other").text) == []


def test_jobs_of_a_batch_that_is_not_there_are_none(ada: Browser, yard: None) -> None:
    page = ada.get("/jobs?batch_id=b-nothing")
    assert page.status_code == 200
    assert "There is no batch" in page.text


def test_batches_are_narrowed(ada: Browser, jobs: Jobs) -> None:
    gone = jobs.submit_batch([{"command": "true"}], name="gone", org_id="acme")
    jobs.cancel([gone.id])
    jobs.submit_batch([{"command": "true"}], name="waits")
    for asked, found in (
        ("", ["waits", "gone"]),
        ("state=cancelled", ["gone"]),
        ("org_id=default", ["waits"]),
        ("q=wai", ["waits"]),
        ("submitted_by=ada", []),
    ):
        assert names(ada.get(f"/batches?{asked}").text) == found
    # A batch's counters lead to the jobs that they count.
    batch = f"/batches/{gone.id}"
    page = ada.get(batch).text
    assert f'<a href="{batch}?state=cancelled"><b>1</b> cancelled</a>' in page
    assert ada.get(f"{batch}?state=blocked&state=queued").text.count('id="row-') == 0


def test_groups_are_narrowed(ada: Browser, yard: None) -> None:
    for asked, count in (("", 3), ("app_version_id=v1", 2), ("target=device&org_id=other", 1)):
        assert ada.get(f"/groups?{asked}").text.count('<tr id="group-') == count
    assert "No group like that" in ada.get("/groups?target=nothing").text


def test_the_audit_is_narrowed(ada: Browser, here: Serving) -> None:
    here.accounts.add("bob", Role.VIEWER)
    for asked, count in (
        ("action=user.add", 2),
        ("action=user.add&subject=bob", 1),
        ("actor=ada", 1),
        ("action=user.add&since=2020-01-01T00:00", 2),
        ("action=user.add&until=2020-01-01T00:00", 0),
    ):
        page = ada.get(f"/admin/audit?{asked}").text
        assert page.count("<time") == count, asked
    answer = ada.get("/admin/audit?since=soon")
    assert answer.status_code == 400
    assert "Since is &#39;soon&#39;, which is no instant" in answer.text


def test_users_tokens_and_templates_are_narrowed(ada: Browser, here: Serving) -> None:
    here.accounts.add("bob", Role.VIEWER, "acme")
    for asked, found in (
        ("role=viewer", ["bob"]),
        ("org_id=acme", ["bob"]),
        ("q=ad", ["ada"]),
        ("role=odd", ["ada", "bob"]),
    ):
        assert names(ada.get(f"/admin/users?{asked}").text) == found
    for name, scope in (("ci", "submit"), ("reader", "read")):
        ada.post("/profile/tokens", name=name, scope=scope, days="90")
    for asked, found in (("scope=read", ["reader"]), ("q=c", ["ci"]), ("user=bob", [])):
        assert names(ada.get(f"/admin/tokens?{asked}").text) == found
    templates = bootstrap.templates(here.settings, here.store)
    for name in ("nightly", "release"):
        templates.save(name, {"command": "true"})
    assert names(ada.get("/templates?q=night").text) == ["nightly"]


def slots(page: str) -> list[str]:
    """The slots of the table of devices."""
    return [unescape(name) for name in re.findall(r'<tr id="slot-([^"]*)"', page)]


def test_devices_are_narrowed_and_paged(ada: Browser, here: Serving) -> None:
    places = (("10", None), ("2", None), ("phone", "device"), ("tablet", "emulator"))
    many = tuple((f"shelf {number:03}", "device") for number in range(120))
    for name, some in (("w1", places), ("w2", many)):
        info = WorkerInfo(name, "host", 1, len(some), places=some)
        here.store.write(lambda tx, info=info: registry.sign_on(tx, info))
    ada.post("/devices/drain", device="w1/phone")
    for asked, found in (
        ("worker=w1", ["w1-2", "w1-10", "w1-phone", "w1-tablet"]),
        ("target=emulator", ["w1-tablet"]),
        ("state=draining", ["w1-phone"]),
        ("q=PHO", ["w1-phone"]),
        ("q=nothing", []),
    ):
        assert slots(ada.get(f"/devices?{asked}").text) == found, asked
    first = ada.get("/devices?hours=6").text
    more = re.search(r'rel="next" href="\?([^"]+)"', first)
    assert more
    rest = ada.get(f"/devices?{unescape(more[1])}").text
    assert len(slots(first)) == 100
    assert len({*slots(first), *slots(rest)}) == 124
    assert '<b aria-current="true">6 h</b>' in rest


def test_limits_are_narrowed(ada: Browser) -> None:
    for scope, name in (("user", "max"), ("target", "emulator"), ("org", "max")):
        ada.post("/admin/limits", scope=scope, name=name, kind="running", most="3")
    for asked, count in (("", 3), ("scope=user", 1), ("name=max", 2), ("name=nobody", 0)):
        assert ada.get(f"/admin/limits?{asked}").text.count(" of <b>3</b>") == count


def test_tokens_of_nobody_are_none(ada: Browser) -> None:
    assert "No token like that" in ada.get("/admin/tokens?user=nobody").text
