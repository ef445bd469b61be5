"""Several jobs submitted over REST at once: as a list, or as one with a matrix."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.serving import Serving
from tests.web.test_jobs import API, TRUE, ok, submit


class TestMatrix:
    """Of one job, which makes several."""

    UI = {  # noqa: RUF012 - nobody changes it
        "name": "ui",
        "command": ["run", "{browser}", "{os}"],
        "matrix": {"browser": ["chromium", "firefox"], "os": ["linux", "mac"]},
        "exclude": [{"browser": "firefox", "os": "mac"}],
    }
    NAMES = ("ui chromium linux", "ui chromium mac", "ui firefox linux")

    def test_one_is_answered_by_the_list_of_its_jobs(self, member: httpx.Client) -> None:
        jobs = submit(member, self.UI)["jobs"]
        assert [job["name"] for job in jobs] == list(self.NAMES)
        assert jobs[1]["command"] == ["run", "chromium", "mac"]
        assert {job["batch_id"] for job in jobs} == {None}
        assert jobs == ok(member.get(f"{API}/jobs"))["jobs"][::-1]

    def test_even_if_it_is_one(self, member: httpx.Client) -> None:
        assert len(submit(member, {**TRUE, "matrix": {}})["jobs"]) == 1
        assert len(submit(member, {**TRUE, "matrix": {"os": ["mac"]}})["jobs"]) == 1
        assert submit(member, {**TRUE, "matrix": None, "exclude": None})["name"] == "unit"

    def test_it_may_stand_in_a_list(self, member: httpx.Client) -> None:
        after = {"name": "report", "command": ["true"], "depends_on": ["ui"]}
        jobs = submit(member, [TRUE, self.UI, after])["jobs"]
        assert [job["name"] for job in jobs] == ["unit", *self.NAMES, "report"]
        assert jobs[-1]["depends_on"] == [job["id"] for job in jobs[1:4]]

    def test_values_may_be_in_fields_of_any_type(self, member: httpx.Client) -> None:
        body = {"command": "x", "priority": "{class}", "matrix": {"class": ["low", "high"]}}
        assert [job["priority"] for job in submit(member, body)["jobs"]] == [2, 8]

    @pytest.mark.parametrize(
        ("body", "status", "words"),
        [
            ({**TRUE, "matrix": {"os": []}}, 400, "matrix.os: has no values"),
            ({**TRUE, "matrix": 5}, 400, "matrix: must be an object"),
            ({**TRUE, "exclude": [{"os": "mac"}]}, 400, "exclude[0]: the matrix has no axis"),
            ([TRUE, {**TRUE, "matrix": {"n": [1]}, "nope": 1}], 400, "jobs[1] ('unit 1')"),
            ({"command": "x", "matrix": {"n": list(range(10_001))}}, 400, "matrix: has 10001"),
            ({**UI, "idempotency_key": ""}, 422, "idempotency_key"),
            ({**UI, "idempotency_key": 1}, 422, "idempotency_key"),
        ],
    )
    def test_what_is_wrong_with_it_is_told(
        self, member: httpx.Client, body: Any, status: int, words: str
    ) -> None:
        answer = member.post(f"{API}/jobs", json=body)
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
        assert ok(member.get(f"{API}/jobs"))["jobs"] == []

    def test_no_more_than_can_be_told(self, member: httpx.Client) -> None:
        axes = {"a": list(range(100)), "b": list(range(100))}
        answer = member.post(f"{API}/jobs", json=[{"command": "x", "matrix": axes}, TRUE])
        assert answer.status_code == 400
        assert "they are more than 10000 jobs: submit them as a batch" in answer.json()["detail"]

    def test_with_a_key_it_is_done_once(self, member: httpx.Client) -> None:
        body = {**self.UI, "idempotency_key": "night"}
        jobs = submit(member, body)
        assert submit(member, body) == jobs
        assert len(ok(member.get(f"{API}/jobs"))["jobs"]) == 3
        assert member.post(f"{API}/jobs", json={**body, "command": "x"}).status_code == 409

    def test_at_the_same_time_too(self, here: Serving) -> None:
        token = here.user("max")
        body = {**self.UI, "idempotency_key": "night"}

        def ids(_: int) -> list[str]:
            with here.client(token) as client:
                return [job["id"] for job in submit(client, body)["jobs"]]

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(ids, range(8)))
        assert len({tuple(one) for one in found}) == 1
        assert len(set(found[0])) == 3


class TestKeyInTheHead:
    def test_it_is_for_a_list_too(self, member: httpx.Client) -> None:
        head = {"Idempotency-Key": "night"}
        two = [TRUE, TRUE | {"name": "b"}]
        twice = [member.post(f"{API}/jobs", json=two, headers=head) for _ in range(2)]
        assert ok(twice[0], 202) == ok(twice[1], 202)
        assert len(ok(member.get(f"{API}/jobs"))["jobs"]) == 2

    def test_it_is_the_same_as_in_the_body(self, member: httpx.Client) -> None:
        job = ok(member.post(f"{API}/jobs", json=TRUE, headers={"Idempotency-Key": "k"}), 202)
        assert submit(member, {**TRUE, "idempotency_key": "k"})["id"] == job["id"]
        batch = {"jobs": [TRUE]}
        first = ok(member.post(f"{API}/job-batches", json={**batch, "idempotency_key": "b"}), 202)
        head = {"Idempotency-Key": "b"}
        again = ok(member.post(f"{API}/job-batches", json=batch, headers=head), 202)
        assert again["id"] == first["id"]

    def test_there_is_one(self, member: httpx.Client) -> None:
        body = {**TRUE, "idempotency_key": "a"}
        answer = member.post(f"{API}/jobs", json=body, headers={"Idempotency-Key": "b"})
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith("the idempotency keys")

    def test_what_is_left_of_the_jobs_is_told(self, member: httpx.Client) -> None:
        head = {"Idempotency-Key": "night"}
        two = [TRUE, TRUE | {"name": "b"}]
        first, second = ok(member.post(f"{API}/jobs", json=two, headers=head), 202)["jobs"]
        ok(member.delete(f"{API}/jobs/{second['id']}"))
        ok(member.post(f"{API}/jobs/{second['id']}/purge"), 204)
        left = ok(member.post(f"{API}/jobs", json=two, headers=head), 202)["jobs"]
        assert [job["id"] for job in left] == [first["id"]]
