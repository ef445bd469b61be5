"""What is done about schedules; the page of templates lists them, that of each makes them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from runyard.web.pages import render
from runyard.web.pages.templates import Name, Org
from runyard.web.pages.visit import Poster

# Beside those of templates, one of which may have any of these names.
router = APIRouter(prefix="/schedules")


@router.post("/pause")
def pause(visit: Poster, name: Name, org: Org) -> Response:
    """Let a schedule do nothing for now."""
    visit.place.schedules(visit.actor).pause(name, org)
    return render.see("/templates", "paused")


@router.post("/resume")
def resume(visit: Poster, name: Name, org: Org) -> Response:
    """Let it go on."""
    visit.place.schedules(visit.actor).resume(name, org)
    return render.see("/templates", "resumed")


@router.post("/remove")
def remove(visit: Poster, name: Name, org: Org) -> Response:
    """Remove it."""
    visit.place.schedules(visit.actor).remove(name, org)
    return render.see("/templates", "unscheduled")
