"""The pages in a real browser, against the real server and a real worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from runyard import bootstrap
from runyard.domain.job import State
from runyard.domain.user import Role
from runyard.policy.fits import Scope
from runyard.service.jobs import Jobs
from tests.store.support import on_sqlite
from tests.support.chromium import (
    SCREENSHOTS,
    check,
    faults,
    opened,
    sign_in,
)
from tests.support.processes import eventually
from tests.support.serving import PASSWORD, Serving
from tests.support.working import WorkerProcess

pytestmark = on_sqlite

CONFIG = """\
[targets.emulator]
driver = "simulated"
devices = ["emulator-5554", "the old phone on the third shelf, left"]
simulation = {install_seconds = 0.2, test_seconds = 0.1, failure_rate = 0.2, seed = 1}
"""
COLOURED = (
    r"printf '\033[1;32mok\033[0m one <script>alert(1)</script>\n\033[31mnot ok\033[0m two\n' >&2;"
    r" printf 'bar 10%%\rbar 99%%\n\000\033]0;title\007'; exit 3"
)


@pytest.fixture
def config(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Devices that are only played, quickly."""
    path = home.parent / "runyard.toml"
    path.write_text(CONFIG)
    monkeypatch.setenv("RUNYARD_CONFIG", str(path))
    return path


def worker(here: Serving) -> WorkerProcess:
    return WorkerProcess("--simulate", slots=2, database_url=here.settings.database_url)


def submit(page: Page, command: str, name: str, *, each_line: bool = False) -> str:
    """Through the form; the path of what was made."""
    menu = page.get_by_role("button", name="Menu")
    if menu.is_visible():
        menu.click()
    page.get_by_role("link", name="Submit", exact=True).click()
    page.get_by_label("Command").fill(command)
    page.get_by_label("Name").fill(name)
    if each_line:
        page.get_by_label("each line is a job").check()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    return page.url.partition("?")[0]


def test_a_day_at_the_pages(chromium: Browser, here: Serving, config: Path, tmp_path: Path) -> None:
    here.user("ada", Role.ADMIN)
    gate = tmp_path / "gate"
    with opened(chromium, here.url) as page:
        sign_in(page, "ada", PASSWORD)

        # Watch a batch fill: nothing is loaded again by hand.
        lines = "\n".join([*(f"echo {n}" for n in range(6)), "echo to stderr >&2; exit 4"])
        batch = submit(page, lines, "my batch", each_line=True)
        expect(page.locator("#summary")).to_contain_text("0 of 7 ended")
        expect(page.locator("#live")).to_have_text("live")
        with worker(here):
            expect(page.locator("#summary")).to_contain_text("7 of 7 ended")
            expect(page.locator("#summary .counts .passed")).to_have_text("6 passed")
            expect(page.locator("#members .state.failed")).to_have_count(1)
            expect(page.get_by_role("button", name="Retry 1 job")).to_be_visible()

            # Open the one that failed, and try it again.
            page.locator("#summary").get_by_role("link", name="1 failed").click()
            page.locator("#members a.name").click()
            expect(page.locator("#summary")).to_contain_text("Failed: exit code 4")
            expect(page.locator(".line.err")).to_have_text("to stderr")
            page.get_by_role("button", name="Retry").click()
            expect(page.locator("#attempts tbody tr")).to_have_count(2)
            expect(page.locator("#summary .state")).to_have_text("failed")
            expect(page.locator(".line.err").first).to_have_text("to stderr")
            expect(page.locator(".state-line")).to_contain_text("the job has failed")

            # Follow what a job writes, while it does.
            job = submit(
                page,
                f"echo waits; until [ -e {gate} ]; do sleep 0.05; done; echo goes on",
                "patient",
            )
            expect(page.locator(".line.out")).to_have_text(["waits"])
            expect(page.locator("#summary .state")).to_have_text("running")
            gate.touch()
            expect(page.locator(".line.out")).to_have_text(["waits", "goes on"])
            expect(page.locator("#summary .state")).to_have_text("passed")
            with page.expect_download() as download:
                page.get_by_role("link", name="stdout").click()
            assert Path(download.value.path()).read_text() == "waits\ngoes on\n"

            # Cancel another. Escape closes the question.
            submit(page, "sleep 600", "too long")
            expect(page.locator("#summary .state")).to_have_text("running")
            page.get_by_text("Cancel", exact=True).click()
            expect(page.get_by_role("button", name="Yes, cancel")).to_be_visible()
            page.keyboard.press("Escape")
            expect(page.get_by_role("button", name="Yes, cancel")).to_be_hidden()
            page.get_by_text("Cancel", exact=True).click()
            page.get_by_role("button", name="Yes, cancel").click()
            expect(page.get_by_role("status").first).to_contain_text("Cancelled")
            expect(page.locator("#summary .state")).to_have_text("cancelled")

            # Look at the devices; take one out and back.
            page.get_by_role("link", name="Devices", exact=True).click()
            row = page.locator("tr", has_text="emulator-5554").first
            row.get_by_role("button", name="Drain").click()
            expect(row.locator("td .state")).to_have_text("draining")
            row.get_by_role("button", name="Resume").click()
            expect(row.locator("td .state")).to_have_text("ready")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")

    here.user("vic", Role.VIEWER)
    with opened(chromium, here.url) as page:
        sign_in(page, "vic", PASSWORD)
        for path in (batch, job):
            page.goto(path)
            expect(page.locator("main form[method=post]")).to_have_count(0)
        expect(page.get_by_role("link", name="Submit", exact=True)).to_have_count(0)
        page.goto("/submit")
        expect(page.get_by_role("heading", level=1)).to_have_text("You may not do this")


def test_output_is_shown_as_a_terminal_would_and_searched(
    chromium: Browser, here: Serving, config: Path
) -> None:
    here.user("ada", Role.ADMIN)
    with opened(chromium, here.url) as page, worker(here):
        sign_in(page, "ada", PASSWORD)
        submit(page, COLOURED, "coloured")
        err = page.locator(".line.err")
        expect(err).to_have_text(["ok one <script>alert(1)</script>", "not ok two"])
        expect(err.locator(".bold.f2")).to_have_text("ok")
        expect(err.locator(".f1")).to_have_text("not ok")
        expect(page.locator(".line.out").first).to_have_text("bar 99%")
        assert page.locator(".lines script").count() == 0
        check(page)

        find = page.get_by_role("searchbox", name="Search in the output")
        find.fill("OK")
        expect(page.locator(".found")).to_have_text("2 lines")
        find.press("Enter")
        expect(page.locator(".line.current")).to_have_text("ok one <script>alert(1)</script>")
        find.press("Enter")
        expect(page.locator(".line.current")).to_have_text("not ok two")
        page.get_by_label("Stream").select_option("out")
        expect(err.first).to_be_hidden()


def test_a_flood_is_shown_from_its_end(chromium: Browser, here: Serving, config: Path) -> None:
    here.user("ada", Role.ADMIN)
    with opened(chromium, here.url) as page, worker(here):
        sign_in(page, "ada", PASSWORD)
        job = submit(page, "seq 200000", "flood")
        expect(page.locator(".line").last).to_have_text("200000")
        expect(page.locator(".state-line")).to_contain_text("earlier lines are in the download")
        assert page.locator(".line").count() <= 5001
        page.goto(job)  # now only the end is loaded at all
        expect(page.locator(".line").last).to_have_text("200000")
        expect(page.locator(".state-line")).to_contain_text("the job has passed")


def test_the_keyboard_is_enough(chromium: Browser, here: Serving) -> None:
    here.user("ada", Role.ADMIN)
    with opened(chromium, here.url) as page:
        page.goto("/login")
        expect(page.get_by_label("Name")).to_be_focused()  # which may come after all has loaded
        page.keyboard.type("ada")
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("/")
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the content")).to_be_focused()
        expect(page.get_by_text("Skip to the content")).to_be_in_viewport()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_link_signs_in_with_one_click(chromium: Browser, here: Serving, width: int) -> None:
    here.accounts.add("ada", Role.ADMIN)
    address = f"/login?link={here.accounts.login_link('ada')}&next=/jobs"
    with opened(chromium, here.url, width) as preview:
        preview.goto(address)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        _shoot(preview, "link", width)
    with opened(chromium, here.url, width) as page:
        page.goto(address)
        expect(page.get_by_role("button", name="Sign in")).to_be_focused()
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("/jobs")
        page.goto(address)
        expect(page.get_by_role("alert")).to_contain_text("This link has been used")


@pytest.mark.parametrize("width", [1280, 390])
def test_a_question_is_seen_whole(chromium: Browser, here: Serving, width: int) -> None:
    here.user("ada", Role.ADMIN)
    with opened(chromium, here.url, width) as page:
        sign_in(page, "ada", PASSWORD)
        submit(page, "true", "waits")
        page.get_by_text("Cancel", exact=True).click()
        expect(page.get_by_role("button", name="Yes, cancel")).to_be_in_viewport(ratio=1)
        check(page)
        page.goto("/admin/users")
        page.get_by_text("Manage", exact=True).last.click()
        for name in ("Link that signs in", "Disable"):
            expect(page.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
        check(page)


def test_a_narrow_screen_has_a_menu(chromium: Browser, here: Serving) -> None:
    here.user("ada", Role.ADMIN)
    with opened(chromium, here.url, 390) as page:
        sign_in(page, "ada", PASSWORD)
        menu, audit = (
            page.get_by_role("button", name="Menu"),
            page.get_by_role("link", name="Audit"),
        )
        expect(audit).to_be_hidden()
        menu.click()
        expect(audit).to_be_in_viewport(ratio=1)
        expect(page.get_by_role("button", name="Sign out")).to_be_in_viewport(ratio=1)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        _shoot(page, "menu", 390)
        page.keyboard.press("Escape")
        expect(audit).to_be_hidden()
        expect(menu).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Overview")).to_be_focused()
        audit.click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Audit")
        expect(audit).to_be_hidden()


def test_what_is_wrong_with_a_page_is_found(chromium: Browser, here: Serving) -> None:
    with opened(chromium, here.url) as page:
        page.goto("/login")
        assert faults(page) == []
        page.evaluate(
            """() => {
              document.querySelector("h1").id = "name";
              document.querySelector("label").remove();
              document.querySelector("code").style.color = "#ccc";
              const wide = document.createElement("h1");
              wide.append("A heading ".repeat(1000));
              wide.setAttribute("class", "nowrap");
              document.querySelector("main").append(wide);
            }"""
        )
        found = "; ".join(faults(page))
    for fault in ("too wide", "one heading", "name is there twice", "has no name", "is pale"):
        assert fault in found


# What it looks like.


def seeded(here: Serving) -> dict[str, str]:
    """A yard with something on every page; the paths of its pages."""
    jobs = bootstrap.jobs(here.settings, here.store)
    templates = bootstrap.templates(here.settings, here.store)
    release: list[dict[str, Any]] = [
        {"name": "compile", "command": "true"},
        {"name": "lint", "command": "true"},
        *({"name": f"unit {m}", "command": "true", "depends_on": ["compile"]} for m in "abc"),
        {"name": "package", "command": "exit 3", "depends_on": ["unit a", "unit b", "lint"]},
        {"name": "publish", "command": "true", "depends_on": ["package"]},
    ]
    suite = [
        {
            "name": f"{flow}: a name that says at length, as some do, what it is about ({n})",
            "command": f"tests/{flow}-{n}.spec.js",
            "kind": "test",
            "target": "emulator",
            "app_version_id": "4.2.0-rc3+build.20261125.2208.a8f3c1d",
        }
        for n in range(6)
        for flow in ("login", "search", "checkout")
    ]
    waits = [{"name": f"render {n}", "command": "true", "target": "gpu"} for n in range(40)]
    graph = jobs.submit_batch(release, name="release 4.2.0", description="From tag to shop.")
    batch = jobs.submit_batch(suite, name="nightly-ui-suite")
    jobs.submit_batch(waits, name="render farm")
    job = jobs.submit_many([spec(COLOURED, "coloured"), spec("sleep 600", "no_spaces_" * 25)])[0]
    named = jobs.submit_batch(
        [spec("true", "longer_" * 40)], name="a_batch_" * 30, org_id="org-" * 15
    )
    yard = bootstrap.yardmaster(here.settings, here.store)
    yard.pause(Scope.TARGET, "laboratory")
    jobs.submit_batch(
        [{"name": f"measure {n}", "command": "true", "target": "laboratory"} for n in "abc"]
    )
    yard.change_limit(Scope.ORG, "default", {"running": 40, "waiting": 5000})
    yard.change_limit(Scope.USER, "*", {"waiting": 100_000})
    parameters = {"build": None, "suite": {"default": "all", "description": "which tests"}}
    templates.save("night", {"arguments": "run {suite} {build}", "parameters": parameters})
    bootstrap.schedules(here.settings, here.store).add(
        "weekdays", "night", "0 2 * * 1-5", parameters={"build": "v7"}
    )
    _until_ended(jobs, graph.id, batch.id)
    eventually(lambda: jobs.get(job.id).is_final)
    names = ("batches", "jobs", "submit", "templates", "devices", "groups", "profile", "docs")
    bootstrap.accounts(here.settings, here.store).add("somebody@" + "a-company." * 8, Role.MEMBER)
    admin = ("users", "tokens", "limits", "audit")
    return {
        "overview": "/",
        "batch": f"/batches/{batch.id}",
        "timeline": f"/batches/{batch.id}?view=timeline",
        "graph": f"/batches/{graph.id}?view=graph",
        "job": f"/jobs/{job.id}",
        "member": f"/jobs/{jobs.members([named.id])[0].id}",
        "template": "/templates/night",
        "template_form": "/templates/-/save?name=night",
        "missing": "/nothing",
        "submit_file": "/submit/file",
        "filtered": "/jobs?state=failed&target=emulator&submitted_by=root&label=flow",
        **{name: f"/{name}" for name in names},
        **{name: f"/admin/{name}" for name in admin},
    }


def spec(command: str, name: str) -> Any:
    from runyard.service import drafts

    return drafts.validated({"command": command, "name": name})


def _until_ended(jobs: Jobs, *batches: str) -> None:
    final = {State.PASSED, State.FAILED, State.CANCELLED}
    for batch in batches:
        eventually(lambda batch=batch: jobs.get_batch(batch).state in final)


def test_every_page_fits_and_can_be_read_in_both_themes(
    chromium: Browser, here: Serving, config: Path
) -> None:
    here.user("ada", Role.ADMIN)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with worker(here):
        paths = seeded(here)
        for width in (1280, 390):
            with opened(chromium, here.url, width) as page:
                page.goto("/login")
                _shoot(page, "login", width)
                sign_in(page, "ada", PASSWORD)
                for name, path in paths.items():
                    page.goto(path)
                    if name == "job":
                        expect(page.locator(".line.err")).to_have_count(2)
                    _shoot(page, name, width)


def _shoot(page: Page, name: str, width: int) -> None:
    """The page in both themes, kept to be looked at, once it has nothing that can be measured to
    be wrong."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        check(page)
        path = SCREENSHOTS / f"{name}-{scheme}-{width}.png"
        page.screenshot(path=path, full_page=name != "docs")
    page.emulate_media(color_scheme="light")
