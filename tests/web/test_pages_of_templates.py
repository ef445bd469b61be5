"""The pages of templates, the form that saves one, and schedules."""

from __future__ import annotations

import html
import re
import shlex

import httpx
import pytest

from runyard import bootstrap
from runyard.domain.user import Role
from runyard.service import drafts
from runyard.web.pages import templates as template_pages
from tests.store.support import on_sqlite
from tests.support.browsing import Browser, browser
from tests.support.serving import Serving


@on_sqlite
def test_a_template_is_run_with_values_and_removed(here: Serving, max_: Browser) -> None:
    templates = bootstrap.templates(here.settings, here.store, max_.actor(here))
    parameters = {"build": None, "suite": {"default": "all", "description": "which"}}
    command = {"arguments": "run {suite} {build}", "parameters": parameters}
    templates.save("night", command)
    assert "build, suite" in max_.get("/templates").text
    page = max_.get("/templates/night?org=acme").text
    assert 'name="p:build" value=""' in page
    assert 'placeholder="all"' in page
    refused = max_.post("/templates/night", org="acme", **{"p:suite": "<b>x</b>"})
    assert refused.status_code == 400
    assert 'value="&lt;b&gt;x&lt;/b&gt;"' in refused.text
    made = max_.post("/templates/night", org="acme", **{"p:build": "v7"}).headers["location"]
    job = re.search(r'href="(/jobs/\w+)"', max_.get(made.partition("?")[0]).text)
    assert job
    assert "run all v7" in max_.get(job[1]).text
    assert max_.post("/templates/night/remove", org="acme").status_code == 303
    assert max_.get("/templates/night?org=acme").status_code == 404


@on_sqlite
def test_a_template_is_saved_and_changed(here: Serving, max_: Browser) -> None:
    def put(document: str, **fields: str) -> httpx.Response:
        return max_.post("/templates/-/save", **{"name": "night", "document": document, **fields})

    wrong = put("tasks:\r\n- name: <a>\r\n  commando: x", description="It's")
    assert wrong.status_code == 400
    assert "tasks[0] (&#39;&lt;a&gt;&#39;): unknown field &#39;commando&#39;" in wrong.text
    assert "- name: &lt;a&gt;\n  commando: x</textarea>" in wrong.text
    assert 'value="It&#39;s"' in wrong.text
    assert "line 2, column 1" in put("tasks: [\n}").text
    assert put("a.b = 1").status_code == put("tasks: []", name="-").status_code == 400

    text = "parameters: {suite: all}\ntasks:\n- name: a\n  command: run {suite}\n"
    made = put(text, description="All suites", directory="/tmp")
    assert made.headers["location"] == "/templates/night?org=acme&said=saved"
    again = put(text)
    assert (again.status_code, "there already" not in again.text) == (409, True)
    page = max_.get("/templates/night?org=acme").text
    assert "All suites" in page
    assert "command: run {suite}" in page

    form = max_.get("/templates/-/save?name=night&org=acme").text
    assert 'name="description" value="All suites"' in form
    assert 'name="directory" value="/tmp"' in form
    assert put(text.replace("run", "walk"), org="acme").status_code == 303
    assert "command: walk {suite}" in max_.get("/templates/night?org=acme").text
    with browser(here.url) as eve:
        eve.come_in(here, "eve", Role.MEMBER, "acme")
        assert eve.post("/templates/-/save", name="night", org="acme").status_code == 400
        mine = {"name": "night", "document": text, "org": "acme"}
        assert eve.post("/templates/-/save", **mine).status_code == 403
        assert eve.post("/templates/-/save", **mine | {"org": "other"}).status_code == 403
    with browser(here.url) as vic:
        vic.come_in(here, "vic", Role.VIEWER, "acme")
        assert "/templates/-/save" not in vic.get("/templates").text
        assert vic.get("/templates/-/save").status_code == 403
        assert vic.post("/templates/-/save", name="x", document=text).status_code == 403


@on_sqlite
def test_a_job_is_saved_as_a_template_without_what_may_be_secret(
    here: Serving, max_: Browser
) -> None:
    made = bootstrap.jobs(here.settings, here.store, max_.actor(here)).submit(
        drafts.validated(
            {
                "name": "both",
                "command": "echo {one}\necho 'two'\n",
                "env": {"MODE": "s3cret"},
                "target": "emulator",
                "app_version_id": "v1",
                "timeout": 30,
                "labels": {"a": "b"},
            }
        )
    )
    assert f"/templates/-/save?job={made.id}" in max_.get(f"/jobs/{made.id}").text
    form = max_.get(f"/templates/-/save?job={made.id}").text
    assert "s3cret" not in form
    found = re.search(r"<textarea[^>]*>(.*)</textarea>", form, re.DOTALL)
    assert found
    saved = max_.post("/templates/-/save", name="both", document=html.unescape(found[1]))
    assert saved.status_code == 303, saved.text
    run = (
        max_.post("/templates/both", org="acme").headers["location"].removesuffix("?said=submitted")
    )
    job = re.search(r'href="(/jobs/\w+)"', max_.get(run).text)
    assert job
    page = max_.get(job[1]).text
    assert html.escape(shlex.quote("echo {one}\necho 'two'\n")) in html.escape(html.unescape(page))
    assert ("30 s" in page, "emulator" in page, ">a=b<" in page) == (True, True, True)


@on_sqlite
def test_templates_and_schedules_are_paged(
    here: Serving, max_: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_pages, "LONG", 2)
    who = max_.actor(here)
    for n in range(3):
        bootstrap.templates(here.settings, here.store, who).save(f"t{n}", {"command": "true"})
        bootstrap.schedules(here.settings, here.store, who).add(f"s{n}", "t0", "0 2 * * *")
    first = max_.get("/templates").text
    links = re.findall(r'rel="next" href="([^"]+)"', first)
    assert links == ["?cursor=acme%2Ft1", "?after=acme%2Fs1"]
    assert ("/templates/t2?" in first, ">s2<" in first) == (False, False)
    assert "/templates/t2?" in max_.get(f"/templates{links[0]}").text
    assert ">s2<" in max_.get(f"/templates{links[1]}").text


@on_sqlite
def test_a_template_may_have_any_name(here: Serving, max_: Browser) -> None:
    templates = bootstrap.templates(here.settings, here.store, max_.actor(here))
    templates.save("schedules", {"command": "true"})
    assert max_.post("/templates/schedules/remove", org="acme").status_code == 303
    assert "schedules?org=" not in max_.get("/templates").text


@on_sqlite
def test_a_template_is_scheduled_paused_and_left_alone(
    here: Serving, max_: Browser, ada: Browser
) -> None:
    templates = bootstrap.templates(here.settings, here.store, max_.actor(here))
    templates.save("night", {"arguments": "run {suite}", "parameters": {"suite": "all"}})
    later = {"org": "acme", "later": "1", "p:suite": "slow"}
    wrong = max_.post("/templates/night", cron="often", **later)
    assert wrong.status_code == 400
    assert 'value="often"' in wrong.text
    later |= {"missed": "all", "overlap": "replace"}
    assert (
        max_.post("/templates/night", cron="0 2 * * *", **later | {"missed": "x"}).status_code
        == 400
    )
    made = max_.post("/templates/night", cron="0 2 * * 1-5", timezone="Europe/Prague", **later)
    assert made.headers["location"] == "/templates?said=scheduled"
    page = max_.get("/templates").text
    assert "<code>0 2 * * 1-5</code>" in page
    assert "suite=slow" in page
    assert ("missed: all" in page, "overlap: replace" in page) == (True, True)
    which = {"name": "night", "org": "acme"}
    max_.post("/schedules/pause", **which)
    assert 'class="state paused"' in ada.get("/templates").text
    max_.post("/schedules/resume", **which)
    assert max_.post("/templates/night/remove", org="acme").status_code == 409
    with browser(here.url) as eve:
        eve.come_in(here, "eve", Role.MEMBER, "acme")
        assert "/schedules/" not in eve.get("/templates").text
        for action in ("pause", "resume", "remove"):
            assert eve.post(f"/schedules/{action}", **which).status_code == 403
    max_.post("/schedules/remove", **which)
    assert "No schedules" in max_.get("/templates").text
