"""Batches: all of them, and one with its members, its timeline and its graph."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from runyard.domain.job import State
from runyard.domain.listing import BatchFilter, JobFilter
from runyard.service.lookout import MOST_SPANS
from runyard.web.pages import drawing, render
from runyard.web.pages.visit import Visitor
from runyard.web.params import Text

router = APIRouter(prefix="/batches")

LONG = 30  # batches of a page
MEMBERS = 50  # jobs of a page
View = Literal["jobs", "timeline", "graph"]


@router.get("")
def batches(
    visit: Visitor, cursor: Text | None = None, by: Text = "", mine: bool = False
) -> Response:
    """The newest first."""
    who = visit.actor.name if mine else by.strip() or None
    found = visit.place.jobs(visit.actor).batch_page(BatchFilter(submitted_by=who), LONG, cursor)
    return render.page(
        visit,
        "batches.html",
        batches=found.batches,
        next=found.next,
        cursor=cursor,
        by=who or "",
        mine=mine,
        events=None if cursor else "/api/v1/events",
    )


@router.get("/{batch_id}")
def batch(
    visit: Visitor,
    batch_id: str,
    view: View = "jobs",
    state: Annotated[State | None, Query()] = None,
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
        wanted = JobFilter(frozenset({state} if state else ()), found.id, text=q)
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
        chosen=state.value if state else "",
        q=q,
        query={k: v for k, v in (("state", state.value if state else ""), ("q", q)) if v},
        cursor=cursor,
        most=MOST_SPANS,
        may_change=visit.actor.may_change(found.submitted_by),
        events=f"/api/v1/events?batch_id={found.id}",
    )
