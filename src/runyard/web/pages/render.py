"""Fill templates."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import DictLoader, Environment, StrictUndefined

from runyard import __version__
from runyard.domain.job import PRIORITY_NAMES, State
from runyard.web.pages import files, words
from runyard.web.pages.visit import Visit

FOLDER = Path(__file__).parent.parent / "templates"
# Read with our own code, which they fit: another version may be installed while we serve.
SOURCES = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.html")}
# What the script asks for when something has happened: the page without its frame.
LIVE_HEADER = "x-live"

# What a form has done, by the word that its answer puts behind "?said=".
SAID = {
    "cancelled": "Cancelled; what runs ends within moments.",
    "retried": "It goes back into the queue.",
    "completed": "Declared passed.",
    "purged": "Deleted, with its logs.",
    "priority": "Its priority is changed.",
    "submitted": "Submitted.",
    "drained": "It takes no more jobs.",
    "resumed": "It goes on.",
    "paused": "Nothing more of it starts.",
    "limit": "The limit is set.",
    "lifted": "The limit is lifted.",
    "added": "The user is added.",
    "changed": "The user is changed.",
    "saved": "The template is saved.",
    "removed": "The template is removed; what was run from it stays.",
    "scheduled": "It will run when it is due.",
    "unscheduled": "The schedule is removed; what it submitted stays.",
    "revoked": "The token is revoked.",
    "password": "The password is changed; all other sessions are over.",
}

FILTERS = (
    words.duration,
    words.number,
    words.size,
    words.stamp,
    words.clock,
    words.machine,
    words.capitalize_first,
    words.pretty,
    words.as_yaml,
)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=DictLoader(SOURCES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in FILTERS:
        made.filters[function.__name__] = function
    made.globals.update(
        version=__version__,
        asset=files.address,
        plural=words.plural,
        ago=words.ago,
        states=[state.value for state in State],
        priorities=[(number, _called(number)) for number in range(10, -1, -1)],
    )
    return made


def _called(priority: int) -> str:
    names = [name for name, number in PRIORITY_NAMES.items() if number == priority]
    return " ".join([str(priority), *names])


def filled(template: str, **values: Any) -> str:
    """The text of a template."""
    return _environment().get_template(template).render(now=time.time(), **values)


def page(visit: Visit, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page for somebody who has signed in."""
    request = visit.request
    said = SAID.get(request.query_params.get("said", ""))
    return html(
        request, template, status, visit=visit, actor=visit.actor, **{"said": said, **values}
    )


def html(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Any page. None of them is kept by a browser: each shows what may be seen now."""
    layout = "bare.html" if LIVE_HEADER in request.headers else "base.html"
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    values = {"visit": None, "actor": None, "said": None, "events": None, **values}
    text = filled(
        template, layout=layout, here=here, path=request.url.path, request=request, **values
    )
    return HTMLResponse(text, status, {"Cache-Control": "no-store"})


def see(path: str, said: str | None = None) -> RedirectResponse:
    """After a form has been carried out: look at a page, which may be loaded again."""
    joint = "&" if "?" in path else "?"
    return RedirectResponse(f"{path}{joint}said={said}" if said else path, 303)
