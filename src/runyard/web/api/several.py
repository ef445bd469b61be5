"""Jobs over REST, several at once: what is asked with ids of jobs and of batches, mixed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from runyard.domain.event import Event
from runyard.domain.job import Job
from runyard.web import live
from runyard.web.bodies import Route
from runyard.web.callers import Caller, Here
from runyard.web.faults import documented

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=Route)

MOST_IDS = 10_000
LONGEST_WAIT = 30.0  # seconds; shorter than what proxies allow a request to be silent

Id = Annotated[str, Field(max_length=300)]


class Several(BaseModel):
    """Ids of jobs and batches, or unique beginnings of them; a batch means all its members."""

    model_config = ConfigDict(extra="forbid")

    ids: list[Id] = Field(max_length=MOST_IDS)


class Patience(Several):
    """``seconds`` is how long the answer may take."""

    seconds: Annotated[float, Field(ge=0, le=LONGEST_WAIT, allow_inf_nan=False)] = 25.0


class Members(BaseModel):
    """The jobs that were meant, in order of submission."""

    jobs: list[Job]


class History(BaseModel):
    """What happened to them, the oldest first."""

    events: list[Event]


class Waited(BaseModel):
    """How many jobs were meant, and how many of them have not ended."""

    total: int
    left: int


@router.post("/members", responses=documented(400, 401, 404, 413, 422))
def members(here: Here, caller: Caller, body: Several) -> Members:
    """The jobs meant by some ids. A request with a body, since there may be many."""
    return Members(jobs=here.jobs(caller).members(body.ids))


@router.post("/history", responses=documented(400, 401, 404, 413, 422))
def history(here: Here, caller: Caller, body: Several) -> History:
    """What happened to the jobs meant by some ids."""
    return History(events=list(here.jobs(caller).events(body.ids)))


@router.post("/wait", responses=documented(400, 401, 404, 413, 422, 429))
async def wait(request: Request, here: Here, caller: Caller, body: Patience) -> Waited:
    """Answers when all of the jobs have ended, or with what is left when the time is over."""
    newsroom, jobs = request.app.state.newsroom, here.jobs(caller)
    with request.app.state.listeners.joined(caller.name):
        total, left = await live.until_ended(newsroom, jobs, body.ids, body.seconds)
    return Waited(total=total, left=left)


@router.post("/cancel", responses=documented(400, 401, 403, 404, 413, 422))
def cancel(here: Here, caller: Caller, body: Several) -> Members:
    """Cancel jobs and batches, all of them or, if one is not there, none."""
    return Members(jobs=here.jobs(caller).cancel(body.ids))


@router.post(
    "/retry", status_code=202, responses=documented(400, 401, 403, 404, 409, 413, 422, 429)
)
def retry(here: Here, caller: Caller, body: Several) -> Members:
    """Run jobs again that ended without passing; of a batch, all of those."""
    return Members(jobs=here.jobs(caller).retry(body.ids))


@router.post("/force-complete", responses=documented(400, 401, 403, 404, 409, 413, 422))
def force_complete(here: Here, caller: Caller, body: Several) -> Members:
    """Declare jobs passed that have not ended; what waits for them goes on."""
    return Members(jobs=here.jobs(caller).complete(body.ids))
