"""Schedules over REST."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.web.test_jobs import API, ok
from tests.web.test_templates import save

pytestmark = pytest.mark.usefixtures("home")
WHEN = {"cron": "0 2 * * *", "timezone": "Europe/Prague", "parameters": {"build": "1"}}


def add(client: httpx.Client, name: str = "nightly", **more: Any) -> httpx.Response:
    body = {"name": name, "template": "nightly", **WHEN, **more}
    return client.post(f"{API}/schedules", json=body)


def test_one_is_added_paused_resumed_and_removed(member: httpx.Client) -> None:
    ok(save(member))
    added = ok(add(member), 201)
    assert (added["org_id"], added["created_by"], added["missed"]) == ("acme", "max", "once")
    assert added["overlap"] == "skip"
    assert ok(member.get(f"{API}/schedules/nightly")) == added
    assert ok(member.get(f"{API}/schedules"))["schedules"] == [added]
    times = ok(member.get(f"{API}/schedules/nightly/upcoming", params={"count": 2}))["times"]
    assert [time[10:16] for time in times] == ["T02:00", "T02:00"]

    assert ok(member.post(f"{API}/schedules/nightly/pause"))["next_at"] is None
    assert ok(member.post(f"{API}/schedules/nightly/resume"))["next_at"] == added["next_at"]
    assert member.delete(f"{API}/templates/nightly").status_code == 409
    ok(member.delete(f"{API}/schedules/nightly"), 204)
    assert member.get(f"{API}/schedules/nightly").status_code == 404


def test_pages_follow_each_other(member: httpx.Client) -> None:
    ok(save(member))
    for name in ("a", "b", "c"):
        ok(add(member, name), 201)
    first = ok(member.get(f"{API}/schedules", params={"limit": 2}))
    rest = ok(member.get(f"{API}/schedules", params={"cursor": first["next"]}))

    assert [s["name"] for s in first["schedules"] + rest["schedules"]] == ["a", "b", "c"]


def test_what_is_wrong_or_not_theirs(
    member: httpx.Client, colleague: httpx.Client, stranger: httpx.Client
) -> None:
    assert add(member).status_code == 404
    ok(save(member))
    ok(add(member), 201)

    assert add(member).status_code == 409
    assert add(member, "other", cron="every day").status_code == 400
    assert add(member, "other", timezone="Mars").status_code == 400
    assert colleague.post(f"{API}/schedules/nightly/pause").status_code == 403
    assert stranger.post(f"{API}/schedules/nightly/pause").status_code == 404
