"""Batches: all of them, and one with its members, its timeline and its graph."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from runyard.domain.job import State
from runyard.domain.listing import BatchFilter, JobFilter
from runyard.service.lookout import MOST_SPANS
from runyard.web.pages import drawing, render
from runyard.web.pages.narrowing import BY, ORG, STATE, Narrowed, Q, States, chosen
from runyard.web.pages.visit import Visitor
from runyard.web.params import Text

router = APIRouter(prefix="/batches")

LONG = 30  # batches of a page
MEMBERS = 50  # jobs of a page
BATCH_STATES = (State.QUEUED, State.RUNNING, State.PASSED, State.FAILED, State.CANCELLED)
View = Literal["jobs", "timeline", "graph"]


@router.get("")
def batches(
    visit: Visitor,
    state: States = [],  # noqa: B006
    q: Text = "",
    submitted_by: Text = "",
    org_id: Text = "",
    cursor: Text | None = None,
) -> Response:
    """The newest first, of those that fit."""
    wanted = BatchFilter(frozenset(state), chosen(org_id), chosen(submitted_by), q.strip())
    found = visit.place.jobs(visit.actor).batch_page(wanted, LONG, cursor)
    others = [ORG] if visit.actor.sees is None else []
    return render.page(
        visit,
        "batches.html",
        batches=found.batches,
        next=found.next,
        cursor=cursor,
        by=Narrowed.of(visit.request, STATE, Q, BY, *others),
        batch_states=BATCH_STATES,
        events=None if cursor else "/api/v1/events",
    )


@router.get("/{batch_id}")
def batch(
    visit: Visitor,
    batch_id: str,
    view: View = "jobs",
    state: States = [],  # noqa: B006
    q: Text = "",
    around: Text = "",
    cursor: Text | None = None,
) -> Response:
    """One batch; a graph that is too large to be drawn whole ``around`` a job."""
    jobs = visit.place.jobs(visit.actor)
    lookout = visit.place.lookout(visit.actor)
    found = jobs.get_batch(batch_id)
    members = timeline = graph = sketch = None
    if view == "timeline":
        timeline = drawing.timeline(lookout.timeline(found.id))
    elif view == "graph":
        sketch = lookout.graph(found.id, around or None)
        graph = drawing.graph(sketch.nodes)
    else:
        wanted = JobFilter(frozenset(state), found.id, text=q.strip())
        members = jobs.page(wanted, MEMBERS, cursor)
    return render.page(
        visit,
        "batch.html",
        batch=found,
        view=view,
        has_graph=lookout.has_graph(found.id),
        members=members,
        timeline=timeline,
        graph=graph,
        box_width=drawing.BOX_WIDTH,
        around=sketch.around if sketch else "",
        by=Narrowed.of(visit.request, STATE, Q),
        cursor=cursor,
        most=MOST_SPANS,
        may_change=visit.actor.may_change(found.submitted_by),
        events=f"/api/v1/events?batch_id={found.id}",
    )
