"""Templates, and a form that runs one: now, or on a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from runyard.domain.listing import NameFilter
from runyard.domain.template import Template
from runyard.domain.timetable import Missed, Overlap, Schedule
from runyard.errors import Conflict, InvalidRequest, LimitReached
from runyard.web.faults import status_of
from runyard.web.live import in_thread
from runyard.web.pages import render
from runyard.web.pages.narrowing import ORG, Narrowed, Q, chosen
from runyard.web.pages.visit import Poster, Visit, Visitor
from runyard.web.params import NO_NUL, Text

router = APIRouter(prefix="/templates")

LONG = 100
Name = Annotated[str, Form(max_length=100, pattern=NO_NUL)]
Org = Annotated[str, Form(max_length=300, pattern=NO_NUL)]
OF_SCHEDULE = ("schedule", "cron", "timezone", "missed", "overlap")
OF_PARAMETER = "p:"  # how the fields of the form begin that are values of parameters

# What a schedule may do, the usual first, in words for people.
MISSED = {
    Missed.ONCE: "run once for all of them",
    Missed.ALL: "run once for each",
    Missed.SKIP: "leave them out",
}
OVERLAP = {
    Overlap.SKIP: "leave this run out",
    Overlap.ALLOW: "let both run",
    Overlap.REPLACE: "cancel the last one",
}


@router.get("")
def templates(
    visit: Visitor, q: Text = "", org_id: Text = "", cursor: Text = "", after: Text = ""
) -> Response:
    """Those that fit, by org and name, and behind ``after`` so the schedules."""
    wanted = NameFilter(chosen(org_id), q.strip())
    found = visit.place.templates(visit.actor).page(LONG + 1, _place_of(cursor), wanted)
    schedules = visit.place.schedules(visit.actor).page(LONG + 1, _place_of(after), wanted)
    others = [ORG] if visit.actor.sees is None else []
    return render.page(
        visit,
        "templates.html",
        templates=found[:LONG],
        next=_cursor(found),
        cursor=cursor,
        by=Narrowed.of(visit.request, Q, *others),
        schedules=schedules[:LONG],
        next_schedule=_cursor(schedules),
        after=after,
        events="/api/v1/events",
    )


def _place_of(cursor: str) -> tuple[str, str]:
    org, _, name = cursor.rpartition("/")
    return org, name


def _cursor(found: Sequence[Template | Schedule]) -> str | None:
    """Where the next page begins, if there is one."""
    last = found[LONG - 1] if len(found) > LONG else None
    return f"{last.org_id}/{last.name}" if last else None


@router.get("/{name}")
def template(visit: Visitor, name: str, org: Text | None = None) -> Response:
    """One, with its parameters to be filled in."""
    return _template(visit, org, name, {})


@router.post("/{name}")
async def run(visit: Poster, request: Request, name: str, org: Org) -> Response:
    """Submit its jobs. Which fields there are, only the template knows."""
    form = await request.form()
    values = {
        key.removeprefix(OF_PARAMETER): str(value)
        for key, value in form.items()
        if key.startswith(OF_PARAMETER) and value != ""
    }
    when = {field: str(form.get(field, "")).strip() for field in OF_SCHEDULE}
    work = _schedule if "later" in form else _run
    return await in_thread(work, visit, org, name, values, when)


def _schedule(
    visit: Visit, org: str, name: str, values: dict[str, str], when: dict[str, str]
) -> Response:
    try:
        visit.place.schedules(visit.actor).add(
            when["schedule"] or name,
            name,
            when["cron"],
            timezone=when["timezone"] or "UTC",
            parameters=values,
            missed=when["missed"] or Missed.ONCE,
            overlap=when["overlap"] or Overlap.SKIP,
            org_id=org,
        )
    except (InvalidRequest, Conflict) as error:
        return _template(visit, org, name, {**values, **when}, str(error), status_of(error))
    return render.see("/templates", "scheduled")


def _run(
    visit: Visit, org: str, name: str, values: dict[str, str], when: dict[str, str]
) -> Response:
    try:
        batch = visit.place.templates(visit.actor).run(name, values, org_id=org)
    except (InvalidRequest, LimitReached) as error:
        return _template(visit, org, name, values, str(error), status_of(error))
    return render.see(f"/batches/{batch.id}", "submitted")


def _template(
    visit: Visit,
    org: str | None,
    name: str,
    values: dict[str, str],
    fault: str = "",
    status: int = 200,
) -> Response:
    found = visit.place.templates(visit.actor).get(name, org)
    return render.page(
        visit,
        "template.html",
        status,
        saved=found,
        values=values,
        missed=MISSED,
        overlap=OVERLAP,
        fault=fault,
    )


@router.post("/{name}/remove")
def remove(visit: Poster, name: str, org: Org) -> Response:
    """Remove it; what was run from it stays."""
    visit.place.templates(visit.actor).remove(name, org)
    return render.see("/templates", "removed")
