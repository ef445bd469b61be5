"""Jobs and batches over REST."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from runyard.engine.worker import WorkerOptions
from runyard.service.jobs import Jobs
from tests.store.support import on_sqlite
from tests.support.serving import Serving

TRUE = {"name": "unit", "command": ["true"]}
API = "/api/v1"
JSON = "application/json"


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def submit(client: httpx.Client, body: Any = TRUE) -> Any:
    return ok(client.post(f"{API}/jobs", json=body), 202)


def test_a_job_is_submitted_and_found(member: httpx.Client) -> None:
    job = submit(
        member,
        {
            "name": "linux-build",
            "command": ["make", "-f", "Makefile", "all"],
            "working_dir": "/tmp",
            "env": {"BUILD_MODE": "release"},
            "payload": {"note": "nightly regression"},
            "queue": "linux",
            "priority": "high",
            "timeout": 60,
        },
    )
    assert (job["state"], job["submitted_by"], job["org_id"]) == ("queued", "max", "acme")
    assert (job["target"], job["priority"], job["cwd"]) == ("linux", 8, "/tmp")
    assert ok(member.get(f"{API}/jobs/{job['id']}")) == job
    assert ok(member.get(f"{API}/jobs/{job['id'][:6]}")) == job
    assert ok(member.get(f"{API}/jobs"))["jobs"] == [job]


def test_several_jobs_are_submitted_or_none(member: httpx.Client) -> None:
    body = [TRUE, {"name": "after", "command": "exit 0", "depends_on": ["unit"]}]
    jobs = submit(member, body)["jobs"]
    assert [job["state"] for job in jobs] == ["queued", "blocked"]
    refused = member.post(f"{API}/jobs", json=[TRUE, {"command": "x", "depends_on": ["nobody"]}])
    assert refused.status_code == 404
    assert len(ok(member.get(f"{API}/jobs"))["jobs"]) == 2


def test_of_several_jobs_none_has_a_key_of_its_own(member: httpx.Client) -> None:
    answer = member.post(f"{API}/jobs", json=[TRUE, {"command": "x", "idempotency_key": "k"}])
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("jobs[1]: an idempotency key belongs to a submission")
    assert ok(member.get(f"{API}/jobs"))["jobs"] == []


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"command": "x", "timeout": -1}, ["body", "timeout"]),
        ([{"command": "x"}, {"command": "x", "nope": 1}], ["body", 1, "nope"]),
        ([], ["body"]),
    ],
)
def test_a_fault_is_told_once_and_where_it_is(
    member: httpx.Client, body: Any, place: list[str | int]
) -> None:
    answer = member.post(f"{API}/jobs", json=body)
    assert answer.status_code == 422
    assert [fault["loc"] for fault in answer.json()["detail"]] == [place]


def test_a_fault_is_told_in_plain_words(member: httpx.Client) -> None:
    cases = {
        '{"command": "x", "run_after": "soon"}': "'soon' is no instant; one is written as 2030-",
        '{"command": []}': "the command is empty",
        '{"command"': "the body is no JSON: Expecting ':' delimiter",
    }
    for body, words in cases.items():
        answer = member.post(f"{API}/jobs", content=body, headers={"Content-Type": JSON})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["msg"].startswith(words)


def test_pages_follow_each_other(member: httpx.Client) -> None:
    ids = [submit(member)["id"] for _ in range(5)][::-1]
    found: list[str] = []
    params: dict[str, Any] = {"limit": 2}
    while True:
        page = ok(member.get(f"{API}/jobs", params=params))
        found += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        params["cursor"] = page["next"]
    assert found == ids


def test_filters_choose(member: httpx.Client) -> None:
    submit(member, {**TRUE, "name": "Login page", "labels": {"suite": "night"}, "target": "device"})
    submit(member, {"command": ["echo", "a%b_c"], "app_version_id": "v1"})
    one = submit(member)
    ok(member.delete(f"{API}/jobs/{one['id']}"))

    def names(**params: Any) -> list[str]:
        return [job["name"] for job in ok(member.get(f"{API}/jobs", params=params))["jobs"]]

    assert names(state="cancelled") == ["unit"]
    assert names(state=["cancelled", "queued"], target="device") == ["Login page"]
    assert names(label="suite") == names(label="suite=night") == ["Login page"]
    assert names(label="suite=day") == []
    assert names(app_version_id="v1") == names(q="a%b_c") == ["echo a%b_c"]
    assert names(q="login") == ["Login page"]
    assert names(q="o%i") == names(org_id="other") == names(submitted_by="eve") == []
    assert len(names(submitted_by="max")) == 3


def test_a_batch_counts_its_members(member: httpx.Client) -> None:
    body = {
        "name": "nightly-ui-suite",
        "description": "500 chromium tests",
        "jobs": [
            {"name": "test-1", "command": ["true"]},
            {"name": "test-2", "command": ["true"], "depends_on": ["test-1"]},
        ],
    }
    batch = ok(member.post(f"{API}/job-batches", json=body), 202)
    assert (batch["total"], batch["waiting"], batch["state"]) == (2, 2, "queued")
    assert (batch["description"], batch["submitted_by"]) == ("500 chromium tests", "max")
    found = ok(member.get(f"{API}/job-batches/{batch['id']}"))
    assert [job["name"] for job in found["jobs"]] == ["test-2", "test-1"]
    assert ok(member.get(f"{API}/job-batches"))["batches"][0]["id"] == batch["id"]
    listed = ok(member.get(f"{API}/jobs", params={"batch_id": batch["id"]}))
    assert len(listed["jobs"]) == 2
    done = ok(member.post(f"{API}/job-batches/{batch['id']}/cancel"))
    assert (done["state"], done["cancelled"]) == ("cancelled", 2)
    again = ok(member.post(f"{API}/job-batches/{batch['id']}/retry"), 202)
    assert again["waiting"] == 2
    assert member.delete(f"{API}/job-batches/{batch['id']}").status_code == 409
    ok(member.post(f"{API}/job-batches/{batch['id']}/cancel"))
    ok(member.delete(f"{API}/job-batches/{batch['id']}"), 204)
    assert member.get(f"{API}/job-batches/{batch['id']}").status_code == 404
    assert ok(member.get(f"{API}/jobs"))["jobs"] == []


def test_a_matrix_fans_out(member: httpx.Client) -> None:
    body = {
        "matrix": {"browser": ["chromium", "firefox"], "os": ["linux", "mac"]},
        "exclude": [{"browser": "firefox", "os": "mac"}],
        "jobs": [{"name": "ui", "command": ["run", "{browser}", "{os}"]}],
    }
    batch = ok(member.post(f"{API}/job-batches", json=body), 202)
    assert batch["total"] == 3


def test_an_idempotent_submit_is_done_once(member: httpx.Client) -> None:
    body = {**TRUE, "idempotency_key": "night"}
    assert submit(member, body)["id"] == submit(member, body)["id"]
    other = member.post(f"{API}/jobs", json={**body, "command": ["false"]})
    assert other.status_code == 409


def test_a_job_is_completed_by_hand(member: httpx.Client) -> None:
    first, second = submit(
        member, [TRUE, {"name": "after", "command": ["true"], "depends_on": ["unit"]}]
    )["jobs"]
    done = ok(member.post(f"{API}/jobs/{first['id']}/force-complete"))
    assert done["state"] == "passed"
    assert ok(member.get(f"{API}/jobs/{second['id']}"))["state"] == "queued"
    assert member.post(f"{API}/jobs/{first['id']}/force-complete").status_code == 409
    kinds = [e["kind"] for e in ok(member.get(f"{API}/jobs/{first['id']}/events"))["events"]]
    assert kinds == ["submitted", "completed"]


def test_stats_count_for_each_user(
    member: httpx.Client, colleague: httpx.Client, stranger: httpx.Client
) -> None:
    for client in (member, member, colleague, stranger):
        job = submit(client)
    ok(stranger.delete(f"{API}/jobs/{job['id']}"))
    nothing = dict.fromkeys(("running", "passed", "failed", "cancelled", "skipped"), 0)
    eve = {"user": "eve", "org_id": "acme", "submitted": 1, "waiting": 1, **nothing}
    both = {"user": "max", "org_id": "acme", "submitted": 2, "waiting": 2, **nothing}
    assert ok(member.get(f"{API}/jobs/stats"))["users"] == [eve, both]
    oli = {"user": "oli", "org_id": "other", "submitted": 1, "waiting": 0, **nothing}
    assert ok(stranger.get(f"{API}/jobs/stats"))["users"] == [{**oli, "cancelled": 1}]


def test_a_job_is_purged_once_it_has_ended(member: httpx.Client) -> None:
    job = submit(member)
    assert member.post(f"{API}/jobs/{job['id']}/purge").status_code == 409
    ok(member.delete(f"{API}/jobs/{job['id']}"))
    ok(member.post(f"{API}/jobs/{job['id']}/purge"), 204)
    assert member.get(f"{API}/jobs/{job['id']}").status_code == 404


def test_priority_moves_and_explain_explains(member: httpx.Client) -> None:
    job = submit(member)
    assert (
        ok(member.post(f"{API}/jobs/{job['id']}/priority", json={"priority": "critical"}))[
            "priority"
        ]
        == 10
    )
    assert ok(member.get(f"{API}/jobs/{job['id']}/explain"))["code"] == "no_worker"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"command": []}, 422),
        ({"command": ["true"], "nonsense": 1}, 422),
        ({"command": ["true"], "priority": 11}, 422),
        ({"command": ["true"], "depends_on": ["nobody"]}, 404),
        ([], 422),
        ("nonsense", 422),
        ([{"command": "a", "name": "x"}, {"command": "b", "name": "x"}], 400),
    ],
)
@on_sqlite
def test_what_is_wrong_is_said(member: httpx.Client, body: Any, status: int) -> None:
    answer = member.post(f"{API}/jobs", json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


# What runs.


@pytest.fixture
def jobs(here: Serving) -> Jobs:
    from runyard import bootstrap

    return bootstrap.jobs(here.settings, here.store)


@pytest.fixture
def worker(here: Serving) -> Any:
    """A worker that serves until the test ends."""
    from runyard import bootstrap
    from runyard.configfile import load

    options = WorkerOptions(2, load().at_hand)
    with bootstrap.worker(here.settings, here.store, options) as running:
        thread = threading.Thread(target=running.run)
        thread.start()
        yield running
        running.drain()
        thread.join()


@on_sqlite
def test_a_log_is_followed_to_its_end(member: httpx.Client, worker: Any) -> None:
    job = submit(member, {"command": "echo one; echo bad >&2; printf 'žluť'; exit 3"})
    text = {"stdout": "", "stderr": ""}
    with member.stream("GET", f"{API}/jobs/{job['id']}/logs", params={"follow": 1}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for event, data in messages(answer):
            if event == "end":
                assert data == {"state": "failed"}
                break
            text[event] += data["text"]
    assert text == {"stdout": "one\nžluť", "stderr": "bad\n"}
    piece = ok(member.get(f"{API}/jobs/{job['id']}/logs", params={"offset": 4}))
    assert (piece["stdout"], piece["stderr"]) == ("žluť", "bad\n")
    assert piece["next"] == piece["size"] == {"stdout": 10, "stderr": 4}
    file = member.get(f"{API}/jobs/{job['id']}/logs/stdout")
    assert file.text == "one\nžluť"
    assert file.headers["content-disposition"].startswith("attachment")
    attempts = ok(member.get(f"{API}/jobs/{job['id']}/attempts"))["attempts"]
    assert [attempt["exit_code"] for attempt in attempts] == [3]


@on_sqlite
def test_a_flood_is_followed_to_its_last_line(member: httpx.Client, worker: Any) -> None:
    job = submit(member, {"command": "yes | head -c 70000000; echo; echo the last line"})
    text = ""
    with member.stream("GET", f"{API}/jobs/{job['id']}/logs", params={"follow": 1}) as answer:
        for event, data in messages(answer):
            if event == "end":
                break
            text = (text + data["text"])[-1000:]
    assert text.endswith("\ny\n\nthe last line\n")


@on_sqlite
def test_a_follower_goes_on_where_it_was_cut_off(member: httpx.Client, worker: Any) -> None:
    job = submit(member, {"command": "echo one; echo bad >&2; echo two"})
    url = f"{API}/jobs/{job['id']}/logs"
    with member.stream("GET", url, params={"follow": 1}) as answer:
        whole = [(event, data) for event, data in messages(answer)]
    assert whole[-1] == ("end", {"state": "passed"})
    again = {"Last-Event-ID": "1.4.0"}
    with member.stream("GET", url, params={"follow": 1}, headers=again) as answer:
        rest = [(event, data.get("text")) for event, data in messages(answer)]
    assert rest == [("stdout", "two\n"), ("stderr", "bad\n"), ("end", None)]


def messages(answer: httpx.Response) -> Any:
    """Server-sent events, as (event, data)."""
    event = "message"
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, json.loads(value)
            event = "message"


def test_events_are_told_and_told_again(
    here: Serving, member: httpx.Client, stranger: httpx.Client
) -> None:
    first = submit(member)
    with member.stream("GET", f"{API}/events", headers={"Last-Event-ID": "0"}) as answer:
        stream = messages(answer)
        assert next(stream)[1]["job_id"] == first["id"]
        submit(stranger)
        second = submit(member)
        event = next(stream)[1]
        assert (event["kind"], event["job_id"]) == ("submitted", second["id"])
    only = {"job_id": second["id"], "kind": "cancelled"}
    with member.stream("GET", f"{API}/events", params=only) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": hello"  # from here on it listens
        ok(member.delete(f"{API}/jobs/{first['id']}"))
        ok(member.delete(f"{API}/jobs/{second['id']}"))
        data = next(line for line in lines if line.startswith("data: "))
        assert json.loads(data[6:])["job_id"] == second["id"]


@on_sqlite
def test_a_log_is_followed_from_anywhere(member: httpx.Client, worker: Any) -> None:
    job = submit(member, {"command": "echo one; echo two", "name": "x"})
    where = f"{API}/jobs/{job['id']}/logs"
    with member.stream("GET", where, params={"follow": 1}) as answer:
        assert list(messages(answer))[-1][0] == "end"
    params = {"follow": 1, "attempt": 1, "offset": 4, "stderr_offset": 0}
    with member.stream("GET", where, params=params) as answer:
        assert [data["text"] for event, data in messages(answer) if event == "stdout"] == ["two\n"]
    assert member.get(where, params={"follow": 1, "attempt": 7}).status_code == 404


@on_sqlite
def test_groups_are_shown_as_readable_json(member: httpx.Client) -> None:
    submit(member, {**TRUE, "app_version_id": "v1", "target": "emulator"})
    answer = member.get("/debug/groups")
    assert '\n      "app_version_id": "v1"' in answer.text


@on_sqlite
def test_health_needs_nobody(here: Serving) -> None:
    with here.client() as nobody:
        assert ok(nobody.get(f"{API}/health"))["status"] == "no workers"
        for path in ("/jobs", "/job-batches", "/events", "/users", "/auth/me", "/groups"):
            answer = nobody.get(f"{API}{path}")
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
