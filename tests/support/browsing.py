"""A browser that runs no scripts: keeps cookies, and sends forms with their session's mark."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser

import httpx

from runyard import bootstrap
from runyard.domain.user import Actor, Role
from runyard.web.callers import COOKIE
from tests.support.serving import Serving


@dataclass(frozen=True)
class Browser:
    """Somebody who looks at pages."""

    client: httpx.Client
    url: str

    def sign_in(self, name: str, password: str) -> Browser:
        answer = self.client.post("/login", data={"name": name, "password": password})
        assert answer.status_code == 303, answer.text
        return self

    def come_in(self, here: Serving, name: str, role: Role, org: str = "default") -> Browser:
        """As a new user without a password, by a link: quicker than hashing one."""
        here.accounts.add(name, role, org)
        answer = self.follow(here.accounts.login_link(name))
        assert answer.status_code == 303, answer.text
        return self

    def follow(self, link: str) -> httpx.Response:
        """Press the button that a link that signs in leads to."""
        fields = hidden(self.client.get(f"/login?link={link}").text)
        return self.client.post("/login/link", data=fields)

    def get(self, path: str) -> httpx.Response:
        """A page, or where it leads to."""
        return self.client.get(path)

    def mark(self) -> str:
        """What the forms of this session carry."""
        found = re.search(r'name="mark" value="([0-9a-f]+)"', self.get("/").text)
        assert found
        return found[1]

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of one of our pages."""
        return self.client.post(path, data={"mark": self.mark(), **fields})

    def make(self, **fields: str) -> str:
        """Submit by the form; the path of what was made."""
        answer = self.post("/submit", **fields)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"].removesuffix("?said=submitted")

    def actor(self, here: Serving) -> Actor:
        """Who it is."""
        sign_in = bootstrap.sign_in(here.settings, here.store)
        return sign_in.cookie(self.client.cookies[COOKIE], "test")[0]


def hidden(page: str) -> dict[str, str]:
    """What a page's forms send that nobody sees."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


class _Form(HTMLParser):
    """Takes in what the fields of a page's forms hold."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._select = self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name, value = given.get("name") or "", given.get("value") or ""
        if tag == "input" and (given.get("type") != "checkbox" or "checked" in given):
            self.fields[name] = value
        elif tag == "textarea":
            self._area, self.fields[name] = name, ""
        elif tag == "select":
            self._select = name
        elif (
            tag == "option"
            and self._select
            and ("selected" in given or self._select not in self.fields)
        ):
            self.fields[self._select] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.fields[self._area] = self.fields[self._area].removeprefix("\n")
            self._area = ""
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area] += data


def filled_in(page: str) -> dict[str, str]:
    """What a page's forms send as they are, but for their mark."""
    form = _Form()
    form.feed(page)
    return {name: value for name, value in form.fields.items() if name not in ("", "mark")}


@contextmanager
def browser(url: str, cookies: Mapping[str, str] | None = None) -> Iterator[Browser]:
    """A browser until the block ends."""
    with httpx.Client(base_url=url, cookies=dict(cookies or {}), timeout=30) as client:
        yield Browser(client, url)
