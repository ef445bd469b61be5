"""What pages do while things happen: they go on, and leave alone who reads or types."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from runyard.domain.job import Job
from runyard.domain.user import Role
from runyard.service import drafts
from runyard.service.jobs import Jobs
from tests.store.support import on_sqlite
from tests.support.chromium import check, opened, sign_in
from tests.support.serving import PASSWORD, Serving, serving
from tests.support.working import WorkerProcess

pytestmark = on_sqlite


@pytest.fixture
def page(chromium: Browser, here: Serving) -> Iterator[Page]:
    """A page of an admin who has signed in."""
    here.user("ada", Role.ADMIN)
    with opened(chromium, here.url) as page:
        sign_in(page, "ada", PASSWORD)
        yield page


def submit(jobs: Jobs, name: str, command: str = "true") -> Job:
    return jobs.submit(drafts.validated({"command": command, "name": name}))


def test_a_restart_of_the_server_is_seen_and_outlived(
    page: Page, here: Serving, jobs: Jobs
) -> None:
    live = page.locator("#live")
    page.goto("/jobs")
    expect(live).to_have_text("live")
    port = here.port
    here.stop()
    refused = "net::ERR_CONNECTION_REFUSED"
    page.wait_for_event("requestfailed", lambda asked: asked.failure == refused)
    expect(live).to_have_text("reconnecting")
    submit(jobs, "meanwhile")
    with serving(here.settings, port):
        expect(live).to_have_text("live")
        expect(page.locator("#list .name")).to_have_text(["meanwhile"])


def look(page: Page, *, hidden: bool) -> None:
    """Turn away from a page, or to it again, as far as its script can tell."""
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_page_that_nobody_sees_asks_for_nothing(page: Page, here: Serving, jobs: Jobs) -> None:
    page.goto("/jobs")
    expect(page.locator("#live")).to_have_text("live")
    with page.expect_event("requestfailed", lambda asked: "/events" in asked.url):
        look(page, hidden=True)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    other = (
        page.context.new_page()
    )  # by the second job the first page would have asked for the first
    other.goto("/jobs")
    expect(other.locator("#live")).to_have_text("live")
    for names in (["unseen"], ["as well", "unseen"]):
        submit(jobs, names[0])
        expect(other.locator("#list .name")).to_have_text(names)
    other.close()
    assert asked == []
    look(page, hidden=False)
    expect(page.locator("#list .name")).to_have_text(["as well", "unseen"])


def test_back_and_forward_lead_through_what_was_filtered(page: Page, jobs: Jobs) -> None:
    jobs.cancel([submit(jobs, "gone").id])
    submit(jobs, "waits")
    page.goto("/jobs")
    names = page.locator("#list .name")
    expect(names).to_have_text(["waits", "gone"])
    page.get_by_role("link", name="cancelled", exact=True).click()
    expect(names).to_have_text(["gone"])
    page.get_by_label("Name").fill("nothing like it")
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name="Show all").click()
    expect(names).to_have_text(["waits", "gone"])
    page.go_back()
    expect(page.get_by_role("searchbox", name="Name")).to_have_value("nothing like it")
    page.go_back()
    expect(names).to_have_text(["gone"])
    page.go_forward()
    expect(page.get_by_text("No jobs like that.")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_filters_open_with_the_keyboard_and_are_taken_away_one_by_one(
    page: Page, jobs: Jobs, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    jobs.submit(drafts.validated({"command": "true", "name": "far", "target": "moon"}))
    submit(jobs, "near")
    page.goto("/jobs?q=ar")
    names, target = page.locator("#list .name"), page.get_by_label("Target")
    expect(names).to_have_text(["near", "far"])
    page.get_by_text("Filters", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Apply")).to_be_in_viewport(ratio=1)
    check(page)
    page.keyboard.press("Escape")
    expect(target).to_be_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(target).to_be_focused()
    page.keyboard.type("moon")
    page.keyboard.press("Enter")
    expect(names).to_have_text(["far"])
    check(page)
    page.get_by_role("link", name="Show without target moon").click()
    expect(names).to_have_text(["near", "far"])
    assert page.url.endswith("/jobs?q=ar")


def test_a_slash_leads_to_the_search_and_is_text_in_a_field(page: Page) -> None:
    page.goto("/jobs")
    page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Name")
    expect(search).to_be_focused()
    expect(search).to_have_value("")
    page.keyboard.press("/")
    expect(search).to_have_value("/")


def test_a_form_that_is_refused_leads_to_what_is_wrong(page: Page) -> None:
    page.goto("/submit")
    expect(page.get_by_label("Matrix")).to_be_hidden()
    page.get_by_label("Command").fill("test {os}")
    page.get_by_text("More", exact=False).first.click()
    page.get_by_label("Matrix").fill("os=linux,mac")
    page.get_by_label("Timeout", exact=True).fill("soon")
    page.get_by_label("Attempts at most").fill("few")
    check(page)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_have_text(
        "Nothing was submitted: 2 fields cannot be read."
    )
    timeout = page.get_by_label("Timeout", exact=True)
    expect(timeout).to_be_focused()
    expect(timeout).to_have_accessible_description(
        "'soon' is no duration: write seconds, or 500ms, 10m, 2h, 1d"
    )
    check(page)
    timeout.fill("1m")
    page.get_by_label("Attempts at most").fill("2")
    page.get_by_label("Matrix").focus()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#summary")).to_contain_text("0 of 2 ended")


def test_the_focus_stays_where_it_is_while_rows_come_and_go(page: Page, jobs: Jobs) -> None:
    oldest, middle, newest = (submit(jobs, name) for name in ("oldest", "middle", "newest"))
    page.goto("/jobs?state=queued")
    expect(page.locator("#live")).to_have_text("live")
    names = page.locator("#list .name")
    link = page.get_by_role("link", name="oldest")
    link.focus()
    jobs.cancel([newest.id])
    expect(names).to_have_text(["middle", "oldest"])
    expect(link).to_be_focused()
    submit(jobs, "another")
    expect(names).to_have_text(["another", "middle", "oldest"])
    jobs.cancel([middle.id])
    expect(names).to_have_text(["another", "oldest"])
    expect(link).to_be_focused()
    jobs.cancel([oldest.id])
    expect(names).to_have_text(["another"])
    expect(page.locator("main")).to_be_focused()


def test_the_title_tells_how_a_job_stands(page: Page, jobs: Jobs) -> None:
    job = submit(jobs, "patient")
    page.goto(f"/jobs/{job.id}")
    expect(page).to_have_title("queued: patient · Runyard")
    expect(page.locator("#live")).to_have_text("live")
    jobs.cancel([job.id])
    expect(page).to_have_title("cancelled: patient · Runyard")
    expect(page.locator(".state-line")).to_have_text("the job was cancelled; nothing was written")


def test_a_form_leads_back_to_where_the_page_was(page: Page, here: Serving) -> None:
    for number in range(40):
        here.accounts.add(f"user{number:02}", Role.MEMBER)
    page.goto("/admin/users")
    row = page.locator("tr", has_text="user35")
    row.get_by_label("Role of user35").select_option("viewer")
    row.get_by_role("button", name="Set").scroll_into_view_if_needed()
    height = page.evaluate("scrollY")
    assert height > 0
    row.get_by_role("button", name="Set").click()
    expect(page.get_by_role("status").first).to_have_text("The user is changed.")
    expect(page.get_by_label("Role of user35")).to_have_value("viewer")
    page.wait_for_function("height => scrollY === height", arg=height)


def test_whoever_scrolls_back_reads_and_at_the_end_follows(
    page: Page, here: Serving, jobs: Jobs
) -> None:
    with WorkerProcess(database_url=here.settings.database_url):
        job = submit(jobs, "long", "seq 3000; sleep 600")
        page.goto(f"/jobs/{job.id}")
        expect(page.locator(".line").last).to_have_text("3000")
        follow, lines = page.get_by_label("follow"), page.get_by_label("Output of the job")
        expect(follow).to_be_checked()
        lines.focus()
        page.keyboard.press("PageUp")
        expect(follow).not_to_be_checked()
        page.keyboard.press("End")
        expect(follow).to_be_checked()
        jobs.cancel([job.id])
        expect(page.locator(".state-line")).to_contain_text("the job was cancelled")


COLOURS = """\
for f in 30 31 32 33 34 35 36 37 90 91 92 93 94 95 96 97; do
  printf '\\033[%sm text %s \\033[0m\\033[2;%sm dim %s\\033[0m\\n' $f $f $f $f
  for g in 40 41 42 43 44 45 46 47 100 101 102 103 104 105 106 107; do
    printf '\\033[%s;%sm%s on %s\\033[0m ' $f $g $f $g
  done
  echo
done
printf '\\033[2mdim\\033[0m\\n'
"""


def test_every_colour_of_a_terminal_can_be_read(page: Page, here: Serving, jobs: Jobs) -> None:
    with WorkerProcess(database_url=here.settings.database_url):
        job = submit(jobs, "colours", COLOURS)
        page.goto(f"/jobs/{job.id}")
        expect(page.locator(".line").last).to_have_text("dim")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        check(page)


def test_a_row_keeps_its_height_when_its_job_gets_a_device(
    page: Page, here: Serving, jobs: Jobs
) -> None:
    fields = {"command": "true", "name": "still", "target": "emulator", "app_version_id": "v1"}
    jobs.submit(drafts.validated(fields))
    page.goto("/jobs")
    row = page.locator("#list tbody tr")
    expect(row).to_contain_text("queued")
    before = row.bounding_box()
    with WorkerProcess("--simulate", slots=1, database_url=here.settings.database_url):
        expect(row.locator(".sub")).to_contain_text("emulator")
    assert before
    after = row.bounding_box()
    assert after
    assert (after["y"], after["height"]) == (before["y"], before["height"])


def test_a_question_in_a_table_lies_over_it(page: Page, here: Serving) -> None:
    page.goto("/profile")
    for name in ("one", "two"):
        page.get_by_label("For what").fill(name)
        page.get_by_role("button", name="Make a token").click()
        expect(page.locator("#secret")).to_be_visible()
    page.goto("/profile")
    rows = page.locator(".list tbody tr")
    before = [row.bounding_box() for row in rows.all()]
    rows.first.get_by_text("Revoke", exact=True).click()
    expect(page.get_by_role("button", name="Yes, revoke it")).to_be_in_viewport(ratio=1)
    assert [row.bounding_box() for row in rows.all()] == before
    check(page)
    page.get_by_role("button", name="Yes, revoke it").click()
    expect(page.get_by_role("status").first).to_have_text("The token is revoked.")
    expect(rows.filter(has_text="two")).to_contain_text("revoked")


def test_a_narrow_screen_shows_all_counters_of_a_batch(page: Page, jobs: Jobs) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    asked: list[dict[str, object]] = [
        *({"name": name, "command": "true"} for name in ("done", "gone", "left")),
        {"name": "hangs on it", "command": "true", "depends_on": ["gone"]},
    ]
    batch = jobs.submit_batch(asked, name="mixed")
    by_name = {job.name: job.id for job in jobs.members([batch.id])}
    jobs.complete([by_name["done"]])
    jobs.cancel([by_name["gone"]])
    page.goto("/")
    counts = page.locator("#gallery .counts li")
    expect(counts).to_have_text(["1 passed", "1 waiting", "1 skipped", "1 cancelled"])
    for number in range(4):
        expect(counts.nth(number)).to_be_visible()
