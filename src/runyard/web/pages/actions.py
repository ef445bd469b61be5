"""What may be done alike to a job and to all jobs of a batch."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from runyard.domain.ids import is_batch_id, no_such
from runyard.web.pages import render
from runyard.web.pages.visit import Poster

router = APIRouter()


def _named(request: Request, name: str) -> str:
    """The id in an address. The service takes either kind, and one of the other would do more, or
    less, than what the address says. Raises ``NotFound``."""
    is_batch = request.url.path.startswith("/batches/")
    if is_batch_id(name) != is_batch:
        raise no_such("batch" if is_batch else "job", name)
    return name


Named = Annotated[str, Depends(_named)]


@router.post("/jobs/{name}/cancel")
@router.post("/batches/{name}/cancel")
def cancel(visit: Poster, named: Named) -> Response:
    """Cancel what has not ended."""
    visit.place.jobs(visit.actor).cancel([named])
    return render.see(_page(named), "cancelled")


@router.post("/jobs/{name}/retry")
@router.post("/batches/{name}/retry")
def retry(visit: Poster, named: Named) -> Response:
    """Run again what did not pass."""
    visit.place.jobs(visit.actor).retry([named])
    return render.see(_page(named), "retried")


@router.post("/jobs/{name}/purge")
@router.post("/batches/{name}/purge")
def purge(visit: Poster, named: Named) -> Response:
    """Delete it, with its logs."""
    jobs = visit.place.jobs(visit.actor)
    if is_batch_id(named):
        jobs.purge_batch(named)
        return render.see("/batches", "purged")
    jobs.purge(named)
    return render.see("/jobs", "purged")


def _page(named: str) -> str:
    return f"/batches/{named}" if is_batch_id(named) else f"/jobs/{named}"
