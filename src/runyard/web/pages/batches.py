"""Batches: all of them, and one with its members, its timeline and its graph."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from runyard.domain.ids import is_batch_id
from runyard.domain.job import State
from runyard.domain.listing import JobFilter
from runyard.errors import NotFound
from runyard.web.pages import drawing, render
from runyard.web.pages.visit import Poster, Visitor
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
    found = visit.place.jobs(visit.actor).batch_page(LONG, cursor, who)
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
    cursor: Text | None = None,
) -> Response:
    """One batch."""
    jobs = visit.place.jobs(visit.actor)
    lookout = visit.place.lookout(visit.actor)
    found = jobs.get_batch(batch_id)
    members = timeline = graph = None
    if view == "timeline":
        timeline = drawing.timeline(lookout.timeline(found.id))
    elif view == "graph":
        graph = drawing.graph(lookout.graph(found.id))
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
        chosen=state.value if state else "",
        q=q,
        query={k: v for k, v in (("state", state.value if state else ""), ("q", q)) if v},
        cursor=cursor,
        may_change=visit.actor.may_change(found.submitted_by),
        events=f"/api/v1/events?batch_id={found.id}",
    )


@router.post("/{batch_id}/cancel")
def cancel(visit: Poster, batch_id: str) -> Response:
    """Cancel what has not ended."""
    visit.place.jobs(visit.actor).cancel([_batch_id(batch_id)])
    return render.see(f"/batches/{batch_id}", "cancelled")


@router.post("/{batch_id}/retry")
def retry(visit: Poster, batch_id: str) -> Response:
    """Run again what did not pass."""
    visit.place.jobs(visit.actor).retry([_batch_id(batch_id)])
    return render.see(f"/batches/{batch_id}", "retried")


@router.post("/{batch_id}/purge")
def purge(visit: Poster, batch_id: str) -> Response:
    """Delete it."""
    visit.place.jobs(visit.actor).purge_batch(batch_id)
    return render.see("/batches", "purged")


def _batch_id(text: str) -> str:
    """A batch's id, where a job's would be taken for one."""
    if not is_batch_id(text):
        raise NotFound(f"there is no batch {text[:100]!r}")
    return text
