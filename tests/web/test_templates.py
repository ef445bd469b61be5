"""Templates over REST."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.web.test_jobs import API, ok

pytestmark = pytest.mark.usefixtures("home")
NIGHTLY = {
    "description": "all suites",
    "parameters": {"branch": "main", "build": None},
    "tasks": [{"name": "test {branch}", "command": ["./test", "{build}"]}],
}


def save(client: httpx.Client, name: str = "nightly", **more: Any) -> httpx.Response:
    return client.put(f"{API}/templates/{name}", json={"document": NIGHTLY, **more})


def test_one_is_saved_shown_run_and_removed(member: httpx.Client) -> None:
    saved = ok(save(member, directory="/srv"))
    assert (saved["org_id"], saved["created_by"], saved["directory"]) == ("acme", "max", "/srv")
    assert ok(member.get(f"{API}/templates/nightly")) == saved
    assert ok(member.get(f"{API}/templates"))["templates"] == [saved]

    body = {"parameters": {"build": "1.4"}, "idempotency_key": "k"}
    batch = ok(member.post(f"{API}/templates/nightly/run", json=body), 202)
    again = ok(member.post(f"{API}/templates/nightly/run", json=body), 202)
    assert (batch["total"], again["id"]) == (1, batch["id"])
    (job,) = ok(member.get(f"{API}/jobs"))["jobs"]
    assert (job["name"], job["command"]) == ("test main", ["./test", "1.4"])

    ok(member.delete(f"{API}/templates/nightly"), 204)
    assert member.get(f"{API}/templates/nightly").status_code == 404


def test_one_whose_parameters_have_defaults_needs_no_body(member: httpx.Client) -> None:
    ok(member.put(f"{API}/templates/plain", json={"document": {"command": ["true"]}}))
    assert ok(member.post(f"{API}/templates/plain/run"), 202)["total"] == 1
    ok(save(member))
    refused = member.post(f"{API}/templates/nightly/run")
    assert refused.status_code == 400
    assert "'build' needs a value" in refused.json()["detail"]


def test_pages_follow_each_other(admin: httpx.Client) -> None:
    for name in ("a", "b", "c"):
        ok(save(admin, name, org_id="x/y"))
    first = ok(admin.get(f"{API}/templates", params={"limit": 2}))
    rest = ok(admin.get(f"{API}/templates", params={"cursor": first["next"]}))

    assert [t["name"] for t in first["templates"] + rest["templates"]] == ["a", "b", "c"]
    assert rest["next"] is None
    assert admin.get(f"{API}/templates", params={"cursor": "x"}).status_code == 404


def test_others_have_their_own(
    member: httpx.Client, colleague: httpx.Client, stranger: httpx.Client, viewer: httpx.Client
) -> None:
    ok(save(member))

    assert save(colleague).status_code == 403
    assert save(viewer, "other").status_code == 403
    assert ok(viewer.get(f"{API}/templates"))["templates"][0]["name"] == "nightly"
    assert stranger.get(f"{API}/templates/nightly").status_code == 404
    assert stranger.get(f"{API}/templates/nightly", params={"org_id": "acme"}).status_code == 404
    assert ok(stranger.get(f"{API}/templates"))["templates"] == []


@pytest.mark.parametrize(
    ("name", "document", "sentence"),
    [
        ("nightly", {"tasks": [{"nane": "x"}]}, "nane"),
        ("a b", NIGHTLY, "is no name for a template"),
    ],
)
def test_what_could_not_be_run_is_refused(
    member: httpx.Client, name: str, document: Any, sentence: str
) -> None:
    answer = member.put(f"{API}/templates/{name}", json={"document": document})

    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]
    answer = member.post(f"{API}/templates/nightly/run", json={})
    assert answer.status_code == 404


def test_values_may_be_whole_numbers_and_booleans(member: httpx.Client) -> None:
    document = {
        "parameters": {"count": 1, "quick": False, "build": None},
        "tasks": [{"name": "t", "command": ["x", "{count}", "{quick}", "{build}"]}],
    }
    ok(member.put(f"{API}/templates/typed", json={"document": document}))
    given = {"count": 12, "quick": True, "build": "3.10"}
    batch = ok(member.post(f"{API}/templates/typed/run", json={"parameters": given}), 202)
    (job,) = ok(member.get(f"{API}/jobs", params={"batch_id": batch["id"]}))["jobs"]
    assert job["command"] == ["x", "12", "true", "3.10"]

    body = {"name": "nightly", "template": "typed", "cron": "0 0 * * *", "parameters": given}
    added = ok(member.post(f"{API}/schedules", json=body), 201)
    assert added["parameters"] == {"count": "12", "quick": "true", "build": "3.10"}


@pytest.mark.parametrize(
    ("value", "status", "words"),
    [(3.10, 400, "build: put the number into quotes"), (None, 422, ""), ([1], 422, "")],
)
def test_other_values_may_not(member: httpx.Client, value: object, status: int, words: str) -> None:
    ok(save(member))
    for path, more in (
        ("templates/nightly/run", {}),
        ("schedules", {"name": "s", "template": "nightly", "cron": "0 0 * * *"}),
    ):
        body = {"parameters": {"build": value}, **more}
        answer = member.post(f"{API}/{path}", json=body)
        assert answer.status_code == status, answer.text
        assert words in answer.text
