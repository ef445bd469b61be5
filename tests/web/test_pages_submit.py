"""The forms that submit: what the API takes, under its names and with its sentences."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from runyard import bootstrap
from runyard.config import Settings
from runyard.domain.job import Job, JobSpec
from runyard.domain.listing import JobFilter
from runyard.domain.user import Role
from runyard.service import drafts
from runyard.service.jobs import Jobs
from runyard.service.lookout import Lookout
from tests.store.support import on_sqlite
from tests.support.browsing import Browser, browser, filled_in
from tests.support.serving import Serving, serving

pytestmark = on_sqlite


@pytest.fixture
def mine(here: Serving, max_: Browser) -> Jobs:
    """What Max may do, without a page."""
    return bootstrap.jobs(here.settings, here.store, max_.actor(here))


def asked(here: Serving, who: Browser, made: str) -> JobSpec:
    """What was asked for by whoever submitted a job, as its page's path says."""
    lookout = Lookout(here.store, who.actor(here), bootstrap.reckoning(here.settings))
    return lookout.asked(made.removeprefix("/jobs/"), to_repeat=True)


def members(jobs: Jobs, made: str) -> list[Job]:
    return jobs.page(JobFilter(batch_id=made.removeprefix("/batches/"))).jobs[::-1]


def wrong(answer: httpx.Response, field: str) -> str:
    """What stands beside a field."""
    found = re.search(rf'id="wrong-{field}">(.*?)</span>', answer.text)
    return unescape(found[1]) if found else ""


# One job.


def test_the_form_takes_what_the_api_takes(here: Serving, max_: Browser, mine: Jobs) -> None:
    first = mine.submit(drafts.validated({"command": "true"}))
    made = max_.make(
        command="make test",
        name="all of it",
        target="emulator",
        app_version_id="v7",
        cwd="/",
        priority="8",
        timeout="10m",
        silent_timeout="90",
        max_attempts="3",
        retry_on="75, 76",
        retry_delay="500ms",
        run_after="2099-01-31T12:00",
        env="MODE=release\r\nURL=http://x/?a=b\r\n",
        labels="suite=nightly\nslow",
        depends_on=first.id[:6],
        limit_key="licence",
        limit="2",
        payload='{"n": 1}',
    )
    assert asked(here, max_, made).model_dump(exclude={"org_id", "depends_on"}) == {
        "command": "make test",
        "kind": "shell",
        "name": "all of it",
        "cwd": "/",
        "env": {"MODE": "release", "URL": "http://x/?a=b"},
        "app_version_id": "v7",
        "target": "emulator",
        "priority": 8,
        "timeout": 600.0,
        "silent_timeout": 90.0,
        "max_attempts": 3,
        "retry_on": [75, 76],
        "retry_delay": 0.5,
        "run_after": 4073544000.0,
        "idempotency_key": None,
        "limit_key": "licence",
        "limit": 2,
        "labels": {"suite": "nightly", "slow": ""},
        "payload": {"n": 1},
    }
    assert mine.get(made.removeprefix("/jobs/")).depends_on == [first.id]


def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(max_: Browser) -> None:
    typed = {
        "command": "echo <b>kept</b>",
        "target": "phone",
        "timeout": "soon",
        "max_attempts": "few",
        "retry_on": "75 x",
        "run_after": "tomorrow",
        "env": "MODE",
        "labels": "=x",
        "depends_on": "nosuchjob",
        "limit": "0",
        "payload": "{",
        "matrix": "browser",
        "exclude": "os=mac",
    }
    answer = max_.post("/submit", **typed)
    assert answer.status_code == 400
    assert filled_in(answer.text).items() >= typed.items()
    assert "10 fields cannot be read" in answer.text
    assert '<details class="more" id="more" open>' in answer.text
    said = {field: wrong(answer, field) for field in typed}
    # As the command line says them.
    assert said["timeout"] == "'soon' is no duration: write seconds, or 500ms, 10m, 2h, 1d"
    assert said["env"] == "'MODE' is not of the form KEY=VALUE"
    assert said["labels"] == "'=x' is not of the form KEY=VALUE"
    assert said["matrix"] == "'browser' is not of the form AXIS=VALUE,VALUE…"
    # As the API says them.
    number = "nput should be a valid integer, unable to parse string as an integer"
    assert said["max_attempts"] == f"I{number}"
    assert said["retry_on"] == f"1: I{number}"
    assert said["run_after"].startswith("'tomorrow' is no instant")
    assert said["limit"] == "Input should be greater than or equal to 1"
    assert said["depends_on"] == "There is no job 'nosuchjob'"
    assert said["payload"].startswith("The payload is not JSON: ")
    assert said["command"] == said["target"] == ""
    assert wrong(max_.post("/submit", command=" "), "command") == "The command is empty"


def test_a_directory_that_is_not_allowed_is_said_beside_its_field(
    home: Path, store_url: str, tmp_path: Path
) -> None:
    settings = replace(Settings.load(home, store_url), allowed_workdirs=(str(tmp_path),))
    with serving(settings) as here, browser(here.url) as ada:
        ada.come_in(here, "ada", Role.ADMIN)
        answer = ada.post("/submit", command="true", cwd="/")
        assert "is not inside of" in wrong(answer, "cwd")


def test_a_job_is_submitted_again_with_all_that_it_was(
    here: Serving, max_: Browser, mine: Jobs
) -> None:
    what: dict[str, Any] = {
        "command": ["printf", "%s", "a b"],
        "name": "first",
        "env": {"TOKEN": "s3cret", "MODE": "fast"},
        "payload": {"n": 1},
        "timeout": 1234567.5,
        "silent_timeout": 9,
        "max_attempts": 2,
        "retry_on": [75],
        "retry_delay": 2,
        "limit_key": "licence",
        "limit": 3,
        "labels": {"nightly": "", "suite": "all"},
    }
    job = mine.submit(drafts.validated(what))
    page = max_.get(f"/jobs/{job.id}").text
    assert "s3cret" not in page
    assert "TOKEN=&#34;${TOKEN?}&#34;" in page
    form = max_.get(f"/submit?job={job.id}").text
    assert 'id="more" open' in form
    plain = mine.submit(drafts.validated({"command": "true"}))
    assert 'id="more" open' not in max_.get(f"/submit?job={plain.id}").text
    assert "s3cret" not in form
    assert "with its variables TOKEN, MODE" in form
    again = max_.make(**filled_in(form))
    assert asked(here, max_, again) == asked(here, max_, job.id)

    # Changed, the command is a line for the shell; the rest stays, and a variable may be set.
    changed = max_.make(like=job.id, command="printenv MODE\r\nexit 1\r\n", env="MODE=slow")
    spec = asked(here, max_, changed)
    assert (spec.kind, spec.command) == ("shell", "printenv MODE\nexit 1")
    assert spec.env == {"TOKEN": "s3cret", "MODE": "slow"}

    # What variables hold is run for nobody else.
    with browser(here.url) as eve:
        eve.come_in(here, "eve", Role.MEMBER, "acme")
        assert eve.get(f"/jobs/{job.id}").status_code == 200
        assert eve.get(f"/submit?job={job.id}").status_code == 403
        assert eve.post("/submit", like=job.id, command="env").status_code == 403


# Batches.


def test_each_line_becomes_a_job_of_a_batch(max_: Browser) -> None:
    page = max_.get(max_.make(command="echo 1\n\n echo 2 \n", name="two", each_line="1")).text
    assert "<h1>two</h1>" in page
    assert "0 of 2 ended" in page
    assert page.count('id="row-') == 2
    assert "two" in max_.get("/batches").text


def test_a_matrix_makes_a_job_of_each_combination(max_: Browser, mine: Jobs) -> None:
    made = max_.make(
        command="test {browser} {os}",
        name="e2e",
        env="ON={os}",
        matrix="browser=chromium,firefox\nos=linux,mac",
        exclude="browser=firefox,os=mac",
    )
    assert [job.name for job in members(mine, made)] == [
        "e2e chromium linux",
        "e2e chromium mac",
        "e2e firefox linux",
    ]
    answer = max_.post("/submit", command="x", matrix="a=1", exclude="b=1")
    assert wrong(answer, "exclude") == "The matrix has no axis 'b'"


def test_lines_may_be_specs_of_tests(max_: Browser, mine: Jobs) -> None:
    made = max_.make(command="a.spec.js\nb.spec.js", kind="test", target="emulator", each_line="1")
    assert [job.kind for job in members(mine, made)] == ["test", "test"]


def test_a_job_file_is_submitted(max_: Browser, mine: Jobs) -> None:
    document = (
        "name: release {version}\r\nparameters: {version: null}\r\ntasks:\r\n"
        "  - {name: compile, command: make}\r\n"
        "  - {name: pack, command: tar c ., depends_on: [compile]}\r\n"
    )
    sent = max_.post("/submit/file", document=document, parameters="version=4.2")
    made = sent.headers["location"].removesuffix("?said=submitted")
    first, second = members(mine, made)
    assert (second.name, second.depends_on) == ("pack", [first.id])
    assert "<h1>release 4.2</h1>" in max_.get(made).text

    for fields, field, said in (
        ({"document": document}, "document", "version"),
        (
            {"document": "tasks: [{name: x}]"},
            "document",
            "tasks[0] ('x'): has no command",
        ),
        ({"document": "tasks: []", "parameters": "version"}, "parameters", "KEY=VALUE"),
    ):
        answer = max_.post("/submit/file", **fields)
        assert answer.status_code == 400
        assert said in wrong(answer, field)
        kept = {name: text.replace("\r", "") for name, text in fields.items()}
        assert filled_in(answer.text).items() >= kept.items()


def test_only_who_may_submit_sees_the_forms(vic: Browser) -> None:
    for path in ("/submit", "/submit/file"):
        assert vic.get(path).status_code == 403
        assert vic.post(path, command="true", document="tasks: []").status_code == 403


def test_a_form_may_be_long(here: Serving) -> None:
    """Longer than what strangers may send: whose it is tells the cookie here."""
    here.accounts.add("max", Role.MEMBER, "acme")
    lines = "\n".join(["echo " + "x" * 50] * 2000)
    with browser(here.url) as nobody:
        answer = nobody.client.post("/submit", data={"command": lines})
        assert answer.status_code == 401
        answer = nobody.follow(here.accounts.login_link("max"))
        assert answer.status_code == 303
        assert nobody.post("/submit", command=lines, each_line="on").status_code == 303
        answer = nobody.client.post("/submit", data={"command": lines, "mark": "0" * 64})
        assert answer.status_code == 403
