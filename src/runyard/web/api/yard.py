"""Groups, devices, workers and targets over REST."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from runyard.domain.job import ShortText
from runyard.domain.listing import DeviceFilter, GroupFilter, WorkerFilter, place_of
from runyard.domain.slot import SlotState
from runyard.domain.yard import DeviceView, GroupView, PauseView, TargetView, WorkerView
from runyard.policy.fits import Scope
from runyard.web.bodies import Route
from runyard.web.callers import Caller, Here
from runyard.web.faults import documented
from runyard.web.paging import page_of, pair_of, part_of
from runyard.web.params import NO_NUL, After, Limit, PartOfName, Text

router = APIRouter(tags=["yard"], route_class=Route)

DeviceName = Annotated[str, Path(max_length=300, pattern=NO_NUL)]


class GroupPage(BaseModel):
    """Groups with work first, then the newest; ``next`` is the
    cursor of the next page."""

    groups: list[GroupView]
    next: str | None = None


class DevicePage(BaseModel):
    """By worker and name; ``next`` is the
    cursor of the next page."""

    devices: list[DeviceView]
    next: str | None = None


class WorkerPage(BaseModel):
    """Those that were seen lately, by id; ``next`` is the
    cursor of the next page."""

    workers: list[WorkerView]
    next: str | None = None


class TargetPage(BaseModel):
    """By name; slots that serve any target are under ``any``; ``next`` is the
    cursor of the next page."""

    targets: list[TargetView]
    next: str | None = None


class Changed(BaseModel):
    """How many things are different now."""

    changed: int


class Pausable(BaseModel):
    """An org, a target or a group by its id."""

    scope: Literal[Scope.ORG, Scope.TARGET, Scope.GROUP]
    name: ShortText


@router.get("/groups", responses=documented(401, 404, 422))
def groups(
    here: Here,
    caller: Caller,
    org_id: Text | None = None,
    app_version_id: Text | None = None,
    target: Text | None = None,
    limit: Limit = 50,
    cursor: After | None = None,
) -> GroupPage:
    """Who shares an install, and who holds it. A page may be short before the last one."""
    wanted = GroupFilter(org_id, app_version_id, target)
    found = here.yard(caller).group_page(wanted, limit, cursor)
    return GroupPage(groups=found.groups, next=found.next)


@router.post("/groups/{group}/cancel", responses=documented(401, 403, 404, 422))
def cancel_group(
    here: Here, caller: Caller, group: Annotated[int, Path(ge=0, le=2**53)]
) -> dict[Literal["cancelled"], list[str]]:
    """Cancel what waits and runs of a group."""
    return {"cancelled": here.yard(caller).cancel_group(group)}


@router.get("/devices", responses=documented(401, 404, 422))
def devices(
    here: Here,
    caller: Caller,
    target: Text | None = None,
    state: Annotated[list[SlotState] | None, Query()] = None,
    worker: Text | None = None,
    q: PartOfName = "",
    limit: Limit = 100,
    cursor: After | None = None,
) -> DevicePage:
    """What each slot does, and how it is."""
    wanted = DeviceFilter(target, frozenset(state or ()), worker, q)
    after = None if cursor is None else pair_of(cursor)
    found = here.yard(caller).device_page(wanted, limit + 1, after)
    shown, more = page_of(found, limit, lambda one: (one.worker, one.name))
    return DevicePage(devices=shown, next=more)


@router.post("/devices/{device:path}/drain", responses=documented(401, 403, 404, 422))
def drain(here: Here, caller: Caller, device: DeviceName) -> Changed:
    """Start nothing more on it; for admins."""
    return Changed(changed=here.yard(caller).drain(device))


@router.post("/devices/{device:path}/resume", responses=documented(401, 403, 404, 422))
def resume_device(here: Here, caller: Caller, device: DeviceName) -> Changed:
    """Use it again; for admins."""
    return Changed(changed=here.yard(caller).resume_device(device))


@router.get("/workers", responses=documented(401, 404, 422))
def workers(
    here: Here,
    caller: Caller,
    host: Text | None = None,
    target: Annotated[Text | None, Query(description="That it serves")] = None,
    limit: Limit = 100,
    cursor: After | None = None,
) -> WorkerPage:
    """Those that were seen lately."""
    after = "" if cursor is None else place_of(cursor, 1)[0]
    found = here.yard(caller).worker_page(WorkerFilter(host, target), limit + 1, after)
    shown, more = page_of(found, limit, lambda one: (one.id,))
    return WorkerPage(workers=shown, next=more)


@router.get("/targets", responses=documented(401, 404, 422))
def targets(
    here: Here,
    caller: Caller,
    q: PartOfName = "",
    limit: Limit = 100,
    cursor: After | None = None,
) -> TargetPage:
    """The kinds of places that there are."""
    found = [one for one in here.yard(caller).targets() if q.lower() in one.name.lower()]
    shown, more = part_of(found, limit, cursor, lambda one: (one.name,))
    return TargetPage(targets=shown, next=more)


class PausePage(BaseModel):
    """Orgs and targets; whether a group is paused, the group says; ``next`` is the
    cursor of the next page."""

    pauses: list[PauseView]
    next: str | None = None


@router.get("/pauses", responses=documented(401, 404, 422))
def pauses(
    here: Here,
    caller: Caller,
    scope: Literal["org", "target"] | None = None,
    limit: Limit = 100,
    cursor: After | None = None,
) -> PausePage:
    """What starts nothing more for now."""
    found = [one for one in here.yard(caller).pauses() if scope in (None, one.scope)]
    shown, more = part_of(found, limit, cursor, lambda one: (one.scope, one.name))
    return PausePage(pauses=shown, next=more)


@router.post("/pauses", responses=documented(400, 401, 403, 404, 413, 422))
def pause(here: Here, caller: Caller, body: Pausable) -> Changed:
    """Start nothing more of it; for admins."""
    return Changed(changed=int(here.yard(caller).pause(Scope(body.scope), body.name)))


@router.delete("/pauses", responses=documented(400, 401, 403, 404, 422))
def resume(
    here: Here, caller: Caller, scope: Literal["org", "target", "group"], name: ShortText
) -> Changed:
    """Go on with it; for admins."""
    return Changed(changed=int(here.yard(caller).resume(Scope(scope), name)))


debug = APIRouter(tags=["yard"])


@debug.get("/debug/groups", responses=documented(401, 422))
def debug_groups(request: Request, here: Here, caller: Caller) -> Response:
    """The groups, to be read by people."""
    found = GroupPage(groups=here.yard(caller).groups(200))
    return Response(found.model_dump_json(indent=2), media_type="application/json")
