"""A real browser, and what it finds wrong with a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-smooth-scrolling",  # a key that is pressed while it ends is lost
]
PATIENCE = 60_000.0  # milliseconds; only a test that fails waits so long
SCREENSHOTS = Path(__file__).parents[2] / ".artefacts" / "screenshots"

_FAULTS = Path(__file__).with_name("page_faults.js").read_text()


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser until the block ends."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail("the tests of the pages need Chromium: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=SWITCHES)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, width: int = 1280, scheme: str = "light") -> Iterator[Page]:
    """A page of a profile of its own; fails if a script does, or if the policy forbids anything."""
    height = 860 if width > 600 else 844
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))

    def hear(said: ConsoleMessage) -> None:
        # A server that refuses, or is away, is no fault of the page.
        if said.type == "error" and not said.text.startswith("Failed to load resource:"):
            faults.append(said.text)

    page.on("console", hear)
    yield page
    context.close()
    assert not faults, faults


def faults(page: Page) -> list[str]:
    """Why a page does not fit its window, or cannot be read or used by everybody."""
    return page.evaluate(_FAULTS)


def check(page: Page) -> None:
    """That there is no reason."""
    found = faults(page)
    assert not found, f"{page.url}: {found}"


def sign_in(page: Page, name: str, password: str) -> None:
    """By the form."""
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("/")
