"""The first page: how it goes, at a glance."""

from __future__ import annotations

from fastapi import APIRouter, Response

from runyard.domain.job import FINAL, State
from runyard.domain.listing import BatchFilter
from runyard.web.pages import render
from runyard.web.pages.visit import Visitor

router = APIRouter()

BATCHES = 9
RUNNING = 12
WAITING = 6


@router.get("/")
def overview(visit: Visitor) -> Response:
    """Figures, the newest batches, what runs, what waits and why."""
    sight = visit.place.lookout(visit.actor).sight(RUNNING, WAITING)
    ended = sight.figures.ended
    ran = sum(ended.get(state, 0) for state in (State.PASSED, State.FAILED))
    return render.page(
        visit,
        "overview.html",
        sight=sight,
        batches=visit.place.jobs(visit.actor).batch_page(BatchFilter(), BATCHES).batches,
        devices=visit.place.yard(visit.actor).devices(),
        passed=ended.get(State.PASSED, 0),
        failed=ended.get(State.FAILED, 0),
        ran=ran,
        ended=sum(ended.get(state, 0) for state in FINAL),
        events="/api/v1/events",
    )
