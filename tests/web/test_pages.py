"""The pages as a browser without scripts gets them: who may see what, and do."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from runyard import bootstrap
from runyard.domain.listing import JobFilter
from runyard.domain.user import Role
from runyard.service.lookout import MOST_NODES
from runyard.web.pages import render
from tests.store.support import on_sqlite
from tests.support.browsing import Browser, browser
from tests.support.serving import Serving

# What is shown.


def test_the_overview_shows_what_waits_and_why(max_: Browser) -> None:
    max_.make(command="exit 3", name="odd one", app_version_id="v1", target="emulator")
    text = max_.get("/").text
    assert "odd one" in text
    assert "No worker is running" in text
    assert 'data-events="/api/v1/events"' in text


@on_sqlite
def test_names_are_shown_and_not_obeyed(max_: Browser) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x>"
    made = max_.make(command=evil, name=evil, labels=f"{evil}={evil}")
    for path in (made, "/jobs", "/", f"/jobs?q={evil}"):
        text = max_.get(path).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@on_sqlite
def test_no_page_needs_what_the_policy_forbids(max_: Browser) -> None:
    made = max_.make(command="true", name="x")
    batch = max_.make(command="true", each_line="1")
    views = [batch, f"{batch}?view=timeline", f"{batch}?view=graph"]
    for path in ("/", "/jobs", "/batches", "/submit", made, *views, "/nothing"):
        answer = max_.get(path)
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<[^>]+\s(style|on\w+)=", answer.text)
        assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)", answer.text)
        assert not re.search(r"(src|href|action)=\"(https?:)?//", answer.text)


@on_sqlite
def test_an_accessible_skeleton(max_: Browser) -> None:
    text = max_.get("/").text
    assert text.count("<main") == text.count("<h1>") == 1
    for part in ('<html lang="en">', 'aria-label="Main"', 'aria-current="page"', 'class="skip"'):
        assert part in text


def test_jobs_are_filtered_and_paged(max_: Browser) -> None:
    lines = "\n".join(f"echo {n}" for n in range(60))
    batch = max_.make(command=lines, name="many", each_line="1")
    for path in ("/jobs?", f"{batch}?"):
        first = max_.get(path).text
        assert first.count('id="row-') == 50
        older = re.search(r'rel="next" href="\?([^"]+)"', first)
        assert older
        rest = max_.get(path + older[1].replace("&amp;", "&")).text
        assert rest.count('id="row-') == 10
    assert max_.get("/jobs?q=echo+59").text.count('id="row-') == 1
    assert max_.get("/jobs?state=failed").text.count('id="row-') == 0
    assert max_.get(f"{batch}?state=queued&q=echo+1").text.count('id="row-') == 11


@on_sqlite
def test_a_job_is_cancelled_retried_and_deleted(max_: Browser) -> None:
    job = max_.make(command="true", name="one")
    assert "Declare passed" in max_.get(job).text
    assert max_.post(f"{job}/priority", value="8").status_code == 303
    assert max_.post(f"{job}/priority", value="99").status_code == 400
    assert max_.post(f"{job}/cancel").headers["location"] == f"{job}?said=cancelled"
    page = max_.get(f"{job}?said=cancelled").text
    assert "Cancelled; what runs ends" in page
    assert "Retry" in page
    max_.post(f"{job}/retry")
    assert max_.post(f"{job}/purge").status_code == 409
    max_.post(f"{job}/complete")
    assert max_.post(f"{job}/purge").headers["location"] == "/jobs?said=purged"
    assert max_.get(job).status_code == 404


def test_a_batch_is_cancelled_retried_and_deleted(max_: Browser) -> None:
    batch = max_.make(command="a\nb", each_line="1")
    assert "Cancel 2 jobs" in max_.get(batch).text
    max_.post(f"{batch}/cancel")
    assert "Retry 2 jobs" in max_.get(batch).text
    max_.post(f"{batch}/retry")
    max_.post(f"{batch}/cancel")
    assert max_.post(f"{batch}/purge").headers["location"] == "/batches?said=purged"
    assert max_.get(batch).status_code == 404


@on_sqlite
def test_a_batch_is_drawn_as_a_graph_if_it_is_one(max_: Browser, here: Serving) -> None:
    actor = max_.actor(here)
    batch = bootstrap.jobs(here.settings, here.store, actor).submit_batch(
        [
            {"name": "late", "command": "true", "depends_on": ["early"]},
            {"name": "early", "command": "true"},
        ]
    )
    page = max_.get(f"/batches/{batch.id}?view=graph").text
    assert page.count('class="edge"') == 1
    assert page.index(">early</text>") > 0
    plain = max_.make(command="a", each_line="1")
    assert "view=graph" not in max_.get(plain).text


@on_sqlite
def test_of_a_large_graph_the_part_is_drawn_that_matters(max_: Browser, here: Serving) -> None:
    chain = [
        {"name": f"step {n}", "command": "true", "depends_on": [f"step {n - 1}"] if n else []}
        for n in range(MOST_NODES + 100)
    ]
    mine = bootstrap.jobs(here.settings, here.store, max_.actor(here))
    batch = mine.submit_batch(chain)
    view = f"/batches/{batch.id}?view=graph"
    page = max_.get(view).text
    assert "300 of 400 jobs, those nearest to the first" in page
    assert ">step 299<" in page
    assert ">step 300<" not in page
    last = mine.page(JobFilter(batch_id=batch.id), 1).jobs[0]
    around = f"{view}&around={last.id}"
    assert around.replace("&", "&amp;") in max_.get(f"/jobs/{last.id}").text
    page = max_.get(around).text
    assert "nearest to step 399" in page
    assert ">step 100<" in page
    assert ">step 99<" not in page
    assert max_.get(f"{view}&around=nothing").status_code == 404


# Roles.


@on_sqlite
def test_a_viewer_is_shown_nothing_to_do_and_refused(vic: Browser, max_: Browser) -> None:
    job = max_.make(command="true", name="one")
    batch = max_.make(command="true", each_line="1")
    for path in (job, batch, "/"):
        page = vic.get(path)
        assert page.status_code == 200
        assert re.findall(r'<form method="post" action="([^"]+)"', page.text) == ["/logout"]
    assert vic.get("/submit").status_code == 403
    assert vic.post("/submit", command="true").status_code == 403
    for action in ("cancel", "retry", "complete", "purge"):
        assert vic.post(f"{job}/{action}").status_code == 403
    assert "A viewer may only look" in vic.post(f"{batch}/cancel").text


def test_a_colleague_looks_and_a_stranger_finds_nothing(here: Serving, max_: Browser) -> None:
    job = max_.make(command="true", name="secret one")
    with browser(here.url) as eve:
        eve.come_in(here, "eve", Role.MEMBER, "acme")
        page = eve.get(job)
        assert page.status_code == 200
        assert f"{job}/cancel" not in page.text
        assert eve.post(f"{job}/cancel").status_code == 403
    with browser(here.url) as oli:
        oli.come_in(here, "oli", Role.MEMBER, "other")
        assert oli.get(job).status_code == 404
        assert oli.post(f"{job}/cancel").status_code == 404
        assert "secret one" not in oli.get("/").text + oli.get("/jobs").text


# Errors.


@on_sqlite
def test_errors_are_pages_for_people_and_json_for_programs(ada: Browser) -> None:
    missing = ada.get("/jobs/zzzz")
    assert missing.status_code == 404
    assert "There is no job" in missing.text
    assert ada.get("/nothing/there").headers["content-type"].startswith("text/html")
    assert ada.get("/jobs?state=odd").status_code == 422
    assert ada.get("/static/../app.py").status_code == 404
    for path in ("/api/v1/nothing", "/api/v1/jobs/zzzz"):
        answer: httpx.Response = ada.get(path)
        assert answer.status_code == 404
        assert answer.json()["detail"]


@on_sqlite
def test_what_goes_wrong_here_is_said_without_details(
    here: Serving, ada: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("secret detail")

    monkeypatch.setattr("runyard.service.jobs.Jobs.batch_page", broken)
    for path in ("/batches", "/api/v1/job-batches"):
        answer = ada.get(path)
        assert answer.status_code == 500
        assert "secret detail" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@on_sqlite
def test_files_are_kept_until_they_change(ada: Browser) -> None:
    for address in re.findall(r'"(/static/[^"]+)"', ada.get("/").text):
        assert "?v=" in address
        answer = ada.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]


def test_what_no_database_holds_is_refused_beside_its_field(max_: Browser) -> None:
    good = {"command": "true"}
    odd = {
        "command": "a\0b",
        "name": "\0",
        "env": "MODE=\0",
        "labels": "a=\0",
        "depends_on": "a\0b",
        "limit_key": "\0x",
        "app_version_id": "x" * 301,
        "payload": "[" * 200 + "]" * 200,
        "timeout": "9" * 400,
        "kind": "odd",
    }
    for field, value in odd.items():
        answer = max_.post("/submit", **{**good, field: value})
        assert answer.status_code == 400, field
        assert f'id="wrong-{field}"' in answer.text, field
    for field in ("document", "name", "parameters", "directory"):
        answer = max_.post("/submit/file", **{"document": "tasks: []", field: "a\0b"})
        assert answer.status_code in (400, 422), field
    assert max_.post("/submit", command="true", like="\0").status_code in (400, 404)


@on_sqlite
def test_another_version_may_be_installed_meanwhile(
    max_: Browser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its templates want what this one does not say."""
    render._environment.cache_clear()
    monkeypatch.setattr(render, "FOLDER", tmp_path)
    for path in ("/", "/jobs", "/submit"):
        assert max_.get(path).status_code == 200
