"""Health, and the stream of events."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from runyard import __version__
from runyard.domain.event import EventKind
from runyard.errors import RunyardError
from runyard.store import registry
from runyard.web import live
from runyard.web.callers import Caller, Here, pass_of
from runyard.web.faults import documented
from runyard.web.live import Newsroom, Wanted
from runyard.web.params import AnyBatch

router = APIRouter()


class Health(BaseModel):
    """Whether work can be taken and done. ``broker`` is ``none`` where nobody needs one."""

    status: Literal["ok", "no workers", "unavailable"]
    version: str
    database: Literal["ok", "unavailable"]
    broker: Literal["ok", "unavailable", "none"]
    workers: int


@router.get(
    "/health", tags=["system"], responses={503: {"model": Health, "description": "Not ready"}}
)
def health(here: Here, response: Response) -> Health:
    """Readiness; needs no credentials, and tells no more than this."""
    try:
        with here.store.read() as tx:
            since = tx.now - registry.LIVE_LEASES * here.settings.lease_seconds
            workers = len(registry.live(tx, since))
    except RunyardError:
        response.status_code = 503
        return Health(
            status="unavailable",
            version=__version__,
            database="unavailable",
            broker="none",
            workers=0,
        )
    status: Literal["ok", "no workers"] = "ok" if workers else "no workers"
    return Health(status=status, version=__version__, database="ok", broker="none", workers=workers)


@router.get(
    "/events",
    tags=["events"],
    response_class=StreamingResponse,
    responses={
        **documented(401, 404, 422, 429),
        200: {"description": "Server-sent events", "content": {"text/event-stream": {}}},
    },
)
async def events(
    request: Request,
    here: Here,
    caller: Caller,
    job_id: Annotated[str | None, Query(pattern=r"^[0-9a-z]{1,26}$")] = None,
    batch_id: AnyBatch | None = None,
    kind: Annotated[list[EventKind] | None, Query()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """What happens, as it happens. After an interruption, ``Last-Event-ID`` goes on from there;
    some events may then come twice: their ``seq`` tells."""
    jobs = here.jobs(caller)
    job = (await live.in_thread(jobs.get, job_id)).id if job_id else None
    batch = (await live.in_thread(jobs.get_batch, batch_id)).id if batch_id else None
    wanted = Wanted(caller.sees, job, batch, frozenset(kind or ()))
    newsroom: Newsroom = request.app.state.newsroom
    is_number = last_event_id and last_event_id.isascii() and last_event_id.isdigit()
    last = int(last_event_id[:18]) if last_event_id and is_number else None
    is_allowed = await live.in_thread(pass_of, request)
    listeners = request.app.state.listeners
    return live.Stream(newsroom.listen(wanted, last), is_allowed, listeners, caller.name)
