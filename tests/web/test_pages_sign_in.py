"""Who gets in to the pages and out again, and whose forms count."""

from __future__ import annotations

import pytest

from runyard.domain.listing import BatchFilter
from runyard.domain.user import Role
from runyard.service.jobs import Jobs
from runyard.web.callers import COOKIE
from runyard.web.pages.visit import local_path
from tests.store.support import on_sqlite
from tests.support.browsing import Browser, browser
from tests.support.serving import PASSWORD, Serving


@on_sqlite
def test_without_a_session_every_page_leads_to_the_form(here: Serving) -> None:
    with browser(here.url) as nobody:
        for path in ("/", "/jobs", "/jobs?state=failed", "/batches/b-1", "/submit"):
            answer = nobody.get(path)
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/login")
        assert (
            nobody.get("/jobs?state=failed")
            .headers["location"]
            .endswith("next=/jobs%3Fstate%3Dfailed")
        )


@on_sqlite
def test_a_link_signs_in_once(here: Serving) -> None:
    here.accounts.add("ada", Role.ADMIN)
    link = here.accounts.login_link("ada")
    with browser(here.url) as one:
        answer = one.follow(link)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "Overview" in one.get("/").text
    with browser(here.url) as other:
        for answer in (
            other.get(f"/login?link={link}"),
            other.client.post("/login/link", data={"link": link}),
        ):
            assert answer.status_code == 401
            assert "has been used" in answer.text


@on_sqlite
def test_looking_at_a_link_does_not_use_it_up(here: Serving) -> None:
    """As programs do that show what is behind an address, and those that look for viruses."""
    here.accounts.add("ada", Role.ADMIN)
    link = here.accounts.login_link("ada")
    with browser(here.url) as preview:
        for _ in range(30):
            answer = preview.get(f"/login?link={link}&next=//evil.example")
            assert answer.status_code == 200
            assert "signs you in as <b>ada</b>" in answer.text
            assert "evil" not in answer.text.partition("<main")[2]
            assert "set-cookie" not in answer.headers
            assert "form-action 'self'" in answer.headers["content-security-policy"]
        evil = {"Origin": "https://evil.example"}
        for headers in (evil, {"Sec-Fetch-Site": "cross-site"}):
            answer = preview.client.post("/login/link", data={"link": link}, headers=headers)
            assert answer.status_code == 403
    with browser(here.url) as ada:
        assert ada.follow(link).status_code == 303


@on_sqlite
def test_the_cookie_is_kept_from_scripts_and_other_sites(here: Serving) -> None:
    here.user("ada", Role.ADMIN)
    data = {"name": "ada", "password": PASSWORD}
    with browser(here.url) as one:
        kept = one.client.post("/login", data=data).headers["set-cookie"]
        assert kept.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(kept.split("; "))
        assert "Secure" not in kept
        behind = {"x-forwarded-proto": "https"}
        assert (
            "Secure" in one.client.post("/login", data=data, headers=behind).headers["set-cookie"]
        )


@on_sqlite
def test_a_wrong_password_is_refused_and_guessing_slowed(here: Serving) -> None:
    here.user("ada", Role.ADMIN)
    with browser(here.url) as one:
        answers = [
            one.client.post("/login", data={"name": "ada", "password": f"wrong {n}"})
            for n in range(6)
        ]
        assert "The name or the password is wrong" in answers[0].text
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert answers[-1].headers["retry-after"]
        assert COOKIE not in one.client.cookies


@on_sqlite
def test_signing_in_leads_on_only_to_pages_of_ours(here: Serving) -> None:
    here.user("ada", Role.ADMIN)
    with browser(here.url) as one:
        for wanted, got in (("/jobs?q=x", "/jobs?q=x"), ("https://evil.example/", "/")):
            data = {"name": "ada", "password": PASSWORD, "next": wanted}
            assert one.client.post("/login", data=data).headers["location"] == got


@pytest.mark.parametrize(
    "path",
    [
        *("//evil.example", "///evil.example", "https://evil.example", "javascript:alert(1)"),
        *("/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "", "x"),
    ],
)
def test_no_other_site_is_gone_on_to(path: str) -> None:
    assert local_path(path) == "/"


@on_sqlite
def test_signing_out_ends_the_session(here: Serving, ada: Browser) -> None:
    cookies = dict(ada.client.cookies)
    answer = ada.post("/logout")
    assert answer.headers["location"] == "/login"
    with browser(here.url, cookies=cookies) as thief:
        assert thief.get("/").status_code == 303


# Forms.


@on_sqlite
def test_a_form_of_another_site_changes_nothing(ada: Browser, jobs: Jobs) -> None:
    good = {"mark": ada.mark(), "command": "true"}
    assert ada.client.post("/submit", data={"command": "true"}).status_code == 403
    assert ada.client.post("/submit", data={**good, "mark": "0" * 64}).status_code == 403
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        assert ada.client.post("/submit", data=good, headers=headers).status_code == 403
    bearer = ada.client.post("/api/v1/jobs", json={"command": "true"})
    assert bearer.status_code == 403  # a cookie alone changes nothing over REST either
    assert jobs.batch_page(BatchFilter()).batches == []
    assert ada.client.post("/submit", data=good, headers={"origin": ada.url}).status_code == 303


@on_sqlite
def test_the_mark_of_one_session_is_none_of_another(here: Serving, ada: Browser) -> None:
    with browser(here.url) as again:
        again.come_in(here, "bob", Role.ADMIN)
        data = {"mark": ada.mark(), "command": "true"}
        assert again.client.post("/submit", data=data).status_code == 403
