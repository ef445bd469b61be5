"""Several jobs at once over REST: members, history, waiting, cancel and retry."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from runyard.service.jobs import Jobs
from tests.support.processes import eventually
from tests.support.serving import Serving
from tests.web.test_jobs import API, TRUE, ok, submit

pytestmark = pytest.mark.usefixtures("home")


def batch(client: httpx.Client, count: int = 3) -> Any:
    return ok(client.post(f"{API}/job-batches", json={"jobs": [TRUE | {"name": ""}] * count}), 202)


def asked(client: httpx.Client, what: str, *ids: str, status: int = 200, **more: Any) -> Any:
    return ok(client.post(f"{API}/jobs/{what}", json={"ids": ids, **more}), status)


def test_ids_of_jobs_and_batches_mean_jobs(member: httpx.Client) -> None:
    one, many = submit(member), batch(member)

    found = asked(member, "members", one["id"][:8], many["id"], one["id"])["jobs"]

    assert [job["batch_id"] for job in found] == [None, many["id"], many["id"], many["id"]]
    assert asked(member, "members")["jobs"] == []
    kinds = [event["kind"] for event in asked(member, "history", many["id"])["events"]]
    assert kinds == ["submitted"] * 3


@pytest.mark.parametrize("what", ["members", "history", "wait", "cancel", "retry"])
def test_what_is_not_there_or_not_theirs_is_404(
    member: httpx.Client, stranger: httpx.Client, what: str
) -> None:
    job = submit(member)

    for client, job_id in ((stranger, job["id"]), (member, "nope\0"), (member, "b-nope")):
        answer = client.post(f"{API}/jobs/{what}", json={"ids": [job_id]})
        assert answer.status_code == 404, answer.text


def test_all_are_cancelled_or_none(member: httpx.Client, colleague: httpx.Client) -> None:
    mine, theirs = submit(member), submit(colleague)
    many = batch(member)

    asked(member, "cancel", mine["id"], "nope", status=404)
    asked(member, "cancel", mine["id"], theirs["id"], status=403)
    assert ok(member.get(f"{API}/jobs/{mine['id']}"))["state"] == "queued"

    states = [job["state"] for job in asked(member, "cancel", mine["id"], many["id"])["jobs"]]
    assert states == ["cancelled"] * 4


def test_what_was_cancelled_is_retried(member: httpx.Client) -> None:
    many = batch(member)
    asked(member, "cancel", many["id"])

    jobs = asked(member, "retry", many["id"], status=202)["jobs"]

    assert {job["state"] for job in jobs} == {"queued"}
    asked(member, "retry", jobs[0]["id"], status=409)


class TestWait:
    def test_it_ends_with_the_time(self, member: httpx.Client) -> None:
        many = batch(member)

        assert asked(member, "wait", many["id"], seconds=0) == {"total": 3, "left": 3}
        assert asked(member, "wait", many["id"], seconds=0.3) == {"total": 3, "left": 3}
        assert asked(member, "wait", seconds=30) == {"total": 0, "left": 0}

    def test_it_ends_with_the_last_job(self, here: Serving, member: httpx.Client) -> None:
        many = batch(member)
        jobs = [job["id"] for job in asked(member, "members", many["id"])["jobs"]]
        ended: list[Any] = []

        def wait() -> None:
            ended.append(asked(member, "wait", many["id"], seconds=30))

        began = time.monotonic()
        waiting = threading.Thread(target=wait)
        waiting.start()
        eventually(lambda: here.newsroom.is_watched)
        for job in jobs:
            assert ended == []
            ok(member.delete(f"{API}/jobs/{job}"))
        waiting.join()

        assert ended == [{"total": 3, "left": 0}]
        assert time.monotonic() - began < 25

    def test_what_ends_before_it_looks_is_not_missed(
        self, member: httpx.Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = submit(member)
        looked = Jobs.unfinished

        def ends_just_after(self: Jobs, ids: list[str]) -> tuple[int, list[str]]:
            found = looked(self, ids)
            self.cancel(ids)
            return found

        monkeypatch.setattr(Jobs, "unfinished", ends_just_after)

        assert asked(member, "wait", job["id"], seconds=30) == {"total": 1, "left": 0}

    def test_a_server_that_stops_says_what_is_left(
        self, here: Serving, member: httpx.Client
    ) -> None:
        job = submit(member)
        ended: list[Any] = []
        waiting = threading.Thread(
            target=lambda: ended.append(asked(member, "wait", job["id"], seconds=30))
        )
        waiting.start()
        eventually(lambda: here.newsroom.is_watched)
        here.stop()
        waiting.join()

        assert ended == [{"total": 1, "left": 1}]


def test_limits_and_quotas_are_kept_apart(admin: httpx.Client, member: httpx.Client) -> None:
    def put(**limit: Any) -> httpx.Response:
        return admin.put(f"{API}/admin/limits", json={"scope": "org", **limit})

    ok(put(name="acme", running=4, waiting=7))
    found = ok(put(name="acme", running=2))["limits"]
    none = {"running": None, "waiting": None, "running_now": 0, "waiting_now": 0}
    assert found == [none | {"scope": "org", "name": "acme", "running": 2, "waiting": 7}]
    ok(put(name="acme", running=None))
    ok(put(name="*", waiting=1))
    assert ok(admin.get(f"{API}/admin/limits"))["limits"] == [
        none | {"scope": "org", "name": "*", "waiting": 1},
        none | {"scope": "org", "name": "acme", "waiting": 7},
    ]

    assert put(name="*", running=1).status_code == 400
    assert put(name="1", scope="group", running=1).status_code == 400
    assert put(name="db", scope="key", waiting=1).status_code == 400
    assert member.get(f"{API}/admin/limits").status_code == 403
