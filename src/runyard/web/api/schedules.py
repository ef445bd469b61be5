"""Schedules over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from runyard.domain.job import ShortText
from runyard.domain.listing import NameFilter
from runyard.domain.parameters import Value
from runyard.domain.timetable import Missed, Overlap, Schedule
from runyard.web.api.templates import org_and_name
from runyard.web.bodies import Route
from runyard.web.callers import Caller, Here
from runyard.web.faults import documented
from runyard.web.paging import page_of
from runyard.web.params import After, Limit, Name, PartOfName, Text

router = APIRouter(prefix="/schedules", tags=["schedules"], route_class=Route)


class NewSchedule(BaseModel):
    """``cron`` is \"minute hour day month weekday\", on the clocks of ``timezone``. ``missed`` says
    what becomes of times at which no worker lived, ``overlap`` of those at which the last run is
    not over."""

    model_config = ConfigDict(extra="forbid")

    name: ShortText
    template: ShortText
    cron: ShortText
    timezone: ShortText = "UTC"
    parameters: dict[str, Value] = Field(default_factory=dict)
    missed: Missed = Missed.ONCE
    overlap: Overlap = Overlap.SKIP
    org_id: ShortText | None = None


class SchedulePage(BaseModel):
    """Schedules by org and name; ``next`` is the cursor of the next page."""

    schedules: list[Schedule]
    next: str | None = None


class Upcoming(BaseModel):
    """When it is due, as the clocks of its time zone show it."""

    times: list[datetime]


@router.get("", responses=documented(401, 404, 422))
def page(
    here: Here,
    caller: Caller,
    org_id: Text | None = None,
    q: PartOfName = "",
    limit: Limit = 100,
    cursor: After | None = None,
) -> SchedulePage:
    """Those that may be seen."""
    after = None if cursor is None else org_and_name(cursor)
    found = here.schedules(caller).page(limit + 1, after, NameFilter(org_id, q))
    shown, more = page_of(found, limit, lambda one: (one.org_id, one.name))
    return SchedulePage(schedules=shown, next=more)


@router.post("", status_code=201, responses=documented(400, 401, 403, 404, 409, 413, 422))
def add(here: Here, caller: Caller, body: NewSchedule) -> Schedule:
    """Run a template whenever it is due."""
    return here.schedules(caller).add(
        body.name,
        body.template,
        body.cron,
        timezone=body.timezone,
        parameters=body.parameters,
        missed=body.missed,
        overlap=body.overlap,
        org_id=body.org_id,
    )


@router.get("/{name}", responses=documented(401, 404, 422))
def get(here: Here, caller: Caller, name: Name, org_id: Text | None = None) -> Schedule:
    """One, of one's own org unless another is named."""
    return here.schedules(caller).get(name, org_id)


@router.get("/{name}/upcoming", responses=documented(400, 401, 404, 422))
def upcoming(
    here: Here,
    caller: Caller,
    name: Name,
    count: Annotated[int, Query(ge=1, le=1000)] = 5,
    org_id: Text | None = None,
) -> Upcoming:
    """When it is due next."""
    return Upcoming(times=here.schedules(caller).upcoming(name, count, org_id))


@router.post("/{name}/pause", responses=documented(401, 403, 404, 422))
def pause(here: Here, caller: Caller, name: Name, org_id: Text | None = None) -> Schedule:
    """Let it do nothing until it is resumed."""
    return here.schedules(caller).pause(name, org_id)


@router.post("/{name}/resume", responses=documented(401, 403, 404, 422))
def resume(here: Here, caller: Caller, name: Name, org_id: Text | None = None) -> Schedule:
    """Let it go on, from the next time that is due."""
    return here.schedules(caller).resume(name, org_id)


@router.delete("/{name}", status_code=204, responses=documented(401, 403, 404, 422))
def remove(here: Here, caller: Caller, name: Name, org_id: Text | None = None) -> None:
    """Forget it; what it submitted stays."""
    here.schedules(caller).remove(name, org_id)
