"""Every list comes in pages, of the same shape, and can be narrowed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import event

from runyard.domain.user import Role
from runyard.store import leases, listing, registry, schedule
from runyard.store.registry import WorkerInfo
from tests.store.support import FAIL, claim, finish, on_sqlite
from tests.support.serving import Serving
from tests.web.endpoints import Endpoint, endpoints
from tests.web.test_jobs import API, ok, submit

NOT_PAGED = {f"GET {API}/schedules/{{name}}/upcoming"}  # there is no end of it
LISTS = [
    "users",
    "tokens?user=*",
    "admin/limits",
    "audit",
    "groups",
    "devices",
    "workers",
    "targets",
    "pauses",
    "templates",
    "schedules",
    "jobs",
    "jobs/stats",
    "job-batches",
    "jobs/{job}/attempts",
    "jobs/{job}/events",
]


@pytest.fixture
def yard(here: Serving, admin: httpx.Client, member: httpx.Client, stranger: httpx.Client) -> str:
    """Several of everything; the id of a job that was tried three times."""
    flaky = {"command": ["false"], "max_attempts": 3, "retry_delay": 0, "priority": 10}
    job = submit(member, flaky)["id"]
    for number in range(3):
        name = f"w{number}"
        places = (("phone", f"t{number}"), ("tablet", None))
        info = WorkerInfo(name, f"host{number % 2}", 1, 2, targets=None, places=places)
        here.store.write(lambda tx, info=info: registry.sign_on(tx, info))
        for one in claim(here.store, 1, name):
            finish(here.store, one, FAIL)
        here.store.write(leases.expire)
        here.store.write(schedule.promote)
        ok(admin.put(f"{API}/admin/limits", json={"scope": "org", "name": name, "running": 9}))
        ok(admin.post(f"{API}/pauses", json={"scope": "target", "name": f"p{number}"}))
        template = {"document": {"command": ["true"]}}
        ok(member.put(f"{API}/templates/{name}", json=template))
        nightly = {"name": name, "template": name, "cron": "0 0 * * *"}
        ok(member.post(f"{API}/schedules", json=nightly), 201)
        submit(member, {"command": ["true"], "app_version_id": name})
        ok(member.post(f"{API}/job-batches", json={"jobs": []}), 202)
    submit(stranger)
    submit(admin)
    return str(job)


def whole(client: httpx.Client, path: str, limit: int) -> tuple[list[Any], int]:
    """All items of a list, and how many pages they took."""
    found: list[Any] = []
    cursor, pages = None, 0
    while True:
        more = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        page = ok(client.get(httpx.URL(f"{API}/{path}").copy_merge_params(more)))
        assert page.keys() - {"next"} == {next(iter(page.keys() - {"next"}))}, "one list and next"
        (items,) = (value for key, value in page.items() if key != "next")
        assert len(items) <= limit
        found += items
        pages += 1
        cursor = page["next"]
        if cursor is None:
            return found, pages


def test_pages_of_every_list_follow_each_other(
    here: Serving, yard: str, admin: httpx.Client
) -> None:
    for path in LISTS:
        where = path.format(job=yard)
        everything, pages = whole(admin, where, 1000)
        assert pages == 1
        assert len(everything) > 2, path
        for limit in (1, 2, len(everything)):
            assert whole(admin, where, limit)[0] == everything, path


def test_what_no_list_gave_is_no_cursor(yard: str, admin: httpx.Client) -> None:
    for path in LISTS:
        where = httpx.URL(f"{API}/{path.format(job=yard)}")
        for nonsense in ("a/b/c/d", "%00", "'"):
            answer = admin.get(where.copy_merge_params({"cursor": nonsense}))
            assert answer.status_code in (200, 404, 422), (path, nonsense, answer.text)


@on_sqlite
def test_no_list_is_without(member: httpx.Client) -> None:
    """Whatever is added."""
    found = [one for one in endpoints(member) if one.method == "GET" and _is_list(one)]
    assert len(found) >= len(LISTS)
    for one in found:
        if str(one) not in NOT_PAGED:
            assert {"limit", "cursor"} <= {each["name"] for each in one.parameters("query")}, one
            assert "next" in _answer(one)["properties"], one


def _is_list(endpoint: Endpoint) -> bool:
    answer = _answer(endpoint)
    fields = answer.get("properties", {})
    arrays = [name for name, field in fields.items() if field.get("type") == "array"]
    return answer.get("type") == "array" or (
        len(arrays) == 1 and fields.keys() <= {*arrays, "next"}
    )


def _answer(endpoint: Endpoint) -> Any:
    content = endpoint.operation["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return endpoint.document["components"]["schemas"][name] if name else schema


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("users?role=admin", 1),
        ("users?org_id=acme", 1),
        ("users?q=A", 2),
        ("users?q=%25", 0),
        ("tokens?user=max", 1),
        ("tokens?user=*&q=TEST", 3),
        ("tokens?user=*&scope=read", 0),
        ("admin/limits?scope=org", 3),
        ("admin/limits?scope=org&name=w1", 1),
        ("admin/limits?scope=user", 0),
        ("pauses?scope=target", 3),
        ("pauses?scope=org", 0),
        ("devices?target=t1", 1),
        ("devices?worker=w1", 2),
        ("devices?state=ready&state=draining", 6),
        ("devices?state=quarantined", 0),
        ("devices?q=PHON", 3),
        ("workers?host=host0", 2),
        ("workers?target=t9", 3),
        ("targets?q=T", 3),
        ("templates?q=w1", 1),
        ("templates?org_id=other", 0),
        ("schedules?q=w1", 1),
        ("schedules?org_id=acme", 3),
        ("groups?app_version_id=w1", 1),
        ("jobs/stats?user=max", 1),
        ("jobs/stats?org_id=other", 1),
        ("audit?actor=max&action=template.save", 3),
        ("audit?subject=acme/w1", 2),
        ("audit?until=2001-01-01", 0),
        ("audit?actor=oli&since=2001-01-01T00:00:00Z", 1),
        ("jobs/{job}/attempts?state=failed", 3),
        ("jobs/{job}/attempts?state=lost", 0),
        ("jobs/{job}/events?kind=submitted", 1),
    ],
)
@on_sqlite
def test_lists_are_narrowed(yard: str, admin: httpx.Client, query: str, count: int) -> None:
    assert len(whole(admin, query.format(job=yard), 1000)[0]) == count


@pytest.mark.parametrize(
    ("target", "names"),
    [("a", ["any", "low"]), ("A", ["any", "up"]), ("%", ["any"]), ('"', ["any"])],
)
def test_a_target_is_not_another_that_looks_like_it(
    here: Serving, admin: httpx.Client, target: str, names: list[str]
) -> None:
    for name, targets in (("any", None), ("low", ("b", "a")), ("up", ("A", "aa", 'x"y'))):
        info = WorkerInfo(name, "host", 1, 1, targets=targets)
        here.store.write(lambda tx, info=info: registry.sign_on(tx, info))
    found, _ = whole(admin, f"workers?{httpx.QueryParams(target=target)}", 1)
    assert [one["id"] for one in found] == names


def test_what_a_page_of_limits_does_not_show_is_not_counted(
    here: Serving, admin: httpx.Client
) -> None:
    for number in range(30):
        ok(
            admin.put(
                f"{API}/admin/limits", json={"scope": "org", "name": f"o{number:02}", "waiting": 9}
            )
        )
    asked: list[str] = []

    def note(conn: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(here.store._engine, "before_cursor_execute", note)
    (first,) = ok(admin.get(f"{API}/admin/limits?limit=1"))["limits"]
    assert first["name"] == "o00"
    assert len(asked) < 15


@on_sqlite
def test_the_filter_goes_with_the_cursor(yard: str, here: Serving, admin: httpx.Client) -> None:
    here.user("zoe", Role.VIEWER)
    here.user("zac", Role.VIEWER)
    found, pages = whole(admin, "users?role=viewer", 1)
    assert ([one["name"] for one in found], pages) == (["zac", "zoe"], 2)


@pytest.mark.parametrize("query", ["", "&q=long", "&state=queued"])
def test_a_page_is_of_bounded_size(member: httpx.Client, query: str) -> None:
    """Whoever asks for a thousand jobs may get a gigabyte else, and nobody has the memory."""
    texts = [f"{n}".ljust(700_000, "é") for n in range(10)]
    made = [{"name": f"long {n}", "command": ["true"], "payload": t} for n, t in enumerate(texts)]
    short = [{"name": f"long and short {n}", "command": ["true"]} for n in range(20)]
    for part in (made[:5], made[5:], short):
        answer = member.post("/api/v1/jobs", json=part)
        assert answer.status_code == 202, answer.text
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    pages = 0
    while cursor is not None:
        answer = member.get(f"/api/v1/jobs?limit=1000{query}{cursor and f'&cursor={cursor}'}")
        assert answer.status_code == 200
        assert len(answer.content) < 9 << 20
        found += answer.json()["jobs"]
        cursor = answer.json()["next"]
        pages += 1
    assert [job["payload"] for job in found] == [None] * 20 + texts[::-1]
    assert pages > 1


def test_a_job_that_is_longer_than_a_page_is_one(
    member: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST_OF_PAGE", 1)
    for n in range(3):
        member.post("/api/v1/jobs", json={"name": f"n{n}", "command": ["true"]})
    names, cursor = [], ""
    for _ in range(3):
        page = member.get(f"/api/v1/jobs?{cursor and f'cursor={cursor}'}").json()
        names += [job["name"] for job in page["jobs"]]
        cursor = page["next"]
    assert (names, cursor) == (["n2", "n1", "n0"], None)
