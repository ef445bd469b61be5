"""Devices and groups: what each slot does and did, and who shares an install."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Response
from pydantic import BeforeValidator

from runyard.domain.job import AttemptState
from runyard.domain.listing import DeviceFilter, GroupFilter
from runyard.domain.slot import SlotState
from runyard.domain.yard import DeviceView
from runyard.policy.fits import Scope
from runyard.store.spans import Span
from runyard.web.pages import drawing, render
from runyard.web.pages.narrowing import BUILD, ORG, TARGET, Field, Narrowed, Q, chosen, given
from runyard.web.pages.visit import Poster, Visitor
from runyard.web.paging import page_of, pair_of
from runyard.web.params import After, Text

router = APIRouter()

GROUPS = 50
DEVICES = 100
HOUR = 3600.0
BAD = frozenset({AttemptState.FAILED, AttemptState.LOST})

SLOT_STATE = Field("state", "State", options=tuple(SlotState), several=True)
WORKER = Field("worker", "Worker", "its id")
SlotStates = Annotated[list[SlotState], BeforeValidator(given), Query()]
Name = Annotated[str, Form(max_length=300)]
Pausable = Annotated[Literal["org", "target", "group"], Form()]


@router.get("/devices")
def devices(
    visit: Visitor,
    hours: Annotated[int, Query(ge=1, le=24)] = 1,
    state: SlotStates = [],  # noqa: B006
    target: Text = "",
    worker: Text = "",
    q: Text = "",
    cursor: After | None = None,
) -> Response:
    """Every slot that fits: what it does, what is installed, how it is, what it did."""
    yard = visit.place.yard(visit.actor)
    length = hours * HOUR
    wanted = DeviceFilter(chosen(target), frozenset(state), chosen(worker), q.strip())
    after = None if cursor is None else pair_of(cursor)
    some, more = page_of(
        yard.device_page(wanted, DEVICES + 1, after), DEVICES, lambda one: (one.worker, one.name)
    )
    found = sorted(some, key=_as_read)
    since, now, spans = visit.place.lookout(visit.actor).lately(length)
    is_cut = since > now - length
    slots = [(device.worker, device.name) for device in found]
    known = set(slots)
    spans = [span for span in spans if (span.worker, span.slot) in known]
    begin = since if is_cut else _first(spans, since)
    ended = Counter((s.worker, s.slot) for s in spans if s.end is not None)
    failed = Counter((s.worker, s.slot) for s in spans if s.state in BAD)
    return render.page(
        visit,
        "devices.html",
        devices=found,
        next=more,
        cursor=cursor,
        by=Narrowed.of(visit.request, SLOT_STATE, Q, TARGET, WORKER),
        slot_states=list(SlotState),
        workers=yard.workers(),
        begun={span.job_id: span.begin for span in spans if span.end is None},
        ended=ended,
        failed=failed,
        hours=hours,
        cut=since if is_cut else None,
        timeline=drawing.timeline(spans, begin, now, slots=slots),
        events="/api/v1/events",
    )


def _as_read(device: DeviceView) -> tuple[object, ...]:
    """Devices of a worker by target, and in the order that people count: 2 before 10."""
    name = device.name
    number = int(name) if name.isascii() and name.isdigit() else 0
    return device.worker, device.target or "", number, name


def _first(spans: Sequence[Span], since: float) -> float:
    """Where a picture begins: of a day that has only begun, not with the night."""
    return max(since, min((span.begin for span in spans), default=since))


@router.post("/devices/drain")
def drain(visit: Poster, device: Name) -> Response:
    """Start nothing more on it."""
    visit.place.yard(visit.actor).drain(device)
    return render.see("/devices", "drained")


@router.post("/devices/resume")
def resume_device(visit: Poster, device: Name) -> Response:
    """Use it again."""
    visit.place.yard(visit.actor).resume_device(device)
    return render.see("/devices", "resumed")


@router.get("/groups")
def groups(
    visit: Visitor,
    app_version_id: Text = "",
    target: Text = "",
    org_id: Text = "",
    cursor: Text | None = None,
) -> Response:
    """Who shares an install, who holds it, what is paused."""
    yard = visit.place.yard(visit.actor)
    wanted = GroupFilter(chosen(org_id), chosen(app_version_id), chosen(target))
    found = yard.group_page(wanted, GROUPS, cursor)
    others = [ORG] if visit.actor.sees is None else []
    return render.page(
        visit,
        "groups.html",
        groups=found.groups,
        next=found.next,
        cursor=cursor,
        by=Narrowed.of(visit.request, BUILD, TARGET, *others),
        pauses=yard.pauses(),
        events=None if cursor else "/api/v1/events",
    )


@router.post("/groups/{group}/cancel")
def cancel_group(visit: Poster, group: int) -> Response:
    """Cancel what waits and runs of it."""
    visit.place.yard(visit.actor).cancel_group(group)
    return render.see("/groups", "cancelled")


@router.post("/pauses")
def pause(visit: Poster, scope: Pausable, name: Name) -> Response:
    """Start nothing more of an org, a target or a group."""
    visit.place.yard(visit.actor).pause(Scope(scope), name.strip())
    return render.see("/groups", "paused")


@router.post("/pauses/lift")
def lift(visit: Poster, scope: Pausable, name: Name) -> Response:
    """Go on with it."""
    visit.place.yard(visit.actor).resume(Scope(scope), name)
    return render.see("/groups", "resumed")
