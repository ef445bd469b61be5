"""Jobs over REST."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from runyard.domain.event import Event, EventKind
from runyard.domain.explanation import Explanation
from runyard.domain.job import Attempt, AttemptState, Job, Priority, State
from runyard.domain.listing import JobFilter
from runyard.domain.yard import UserStats
from runyard.execution import logs
from runyard.web import downloads, following, live
from runyard.web.answers import Answering
from runyard.web.api.newjobs import OneOrMany, checked, many_of
from runyard.web.callers import Caller, Here, pass_of
from runyard.web.faults import documented
from runyard.web.paging import ascending, part_of
from runyard.web.params import After, AnyBatch, Cursor, IdempotencyKey, JobId, Limit, Text, one_key

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=Answering)

MOST_LABELS = 16  # asked for at once; each makes the database look once more for each job


class JobPage(BaseModel):
    """Jobs, the newest first; ``next`` is the cursor of the next page."""

    jobs: list[Job]
    next: str | None = None


class LogPiece(BaseModel):
    """Output as text. ``next`` is the offset behind it and ``size`` what there is by now, in
    bytes."""

    attempt: int
    stdout: str
    stderr: str
    next: dict[Literal["stdout", "stderr"], int]
    size: dict[Literal["stdout", "stderr"], int]


class NewPriority(BaseModel):
    """A number from 0 to 10, or low, normal, high, critical."""

    priority: Priority


AttemptNumber = Annotated[int | None, Query(ge=-(2**31), le=2**31, description="The last, if none")]


@router.post("", status_code=202, responses=documented(400, 401, 403, 404, 409, 413, 422, 429))
def submit(
    here: Here, caller: Caller, body: OneOrMany, idempotency_key: IdempotencyKey = None
) -> Job | JobPage:
    """Submit one job, or several at once, all of them or none. Several are answered by a list, and
    so is one with a ``matrix``: the jobs it stands for."""
    jobs, many = here.jobs(caller), many_of(body)
    if many is None:
        spec = checked(body)
        key = one_key(spec.idempotency_key, idempotency_key)
        return jobs.submit(spec.model_copy(update={"idempotency_key": key}))
    found, key = many
    key = one_key(key, idempotency_key)
    return JobPage(jobs=jobs.submit_many(found, idempotency_key=key))


@router.get("", responses=documented(400, 401, 404, 422))
def page(
    here: Here,
    caller: Caller,
    state: Annotated[list[State] | None, Query()] = None,
    batch_id: AnyBatch | None = None,
    org_id: Text | None = None,
    app_version_id: Text | None = None,
    target: Text | None = None,
    submitted_by: Text | None = None,
    label: Annotated[
        list[Text] | None, Query(max_length=MOST_LABELS, description="KEY, or KEY=VALUE")
    ] = None,
    q: Annotated[Text, Query(description="Part of the name")] = "",
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> JobPage:
    """Jobs, the newest first. A page may be short, if jobs are long, or empty before the last one:
    go on while there is a ``next``."""
    wanted = JobFilter(
        states=frozenset(state or ()),
        batch_id=batch_id,
        org_id=org_id,
        app_version_id=app_version_id,
        target=target,
        submitted_by=submitted_by,
        labels=dict(map(_label, label or ())),
        text=q,
    )
    found = here.jobs(caller).page(wanted, limit, cursor)
    return JobPage(jobs=found.jobs, next=found.next)


def _label(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    return key, value if equals else None


class StatsPage(BaseModel):
    """By org and user; ``next`` is the cursor of the next page."""

    users: list[UserStats]
    next: str | None = None


@router.get("/stats", responses=documented(401, 404, 422))
def stats(
    here: Here,
    caller: Caller,
    user: Text | None = None,
    org_id: Text | None = None,
    limit: Limit = 1000,
    cursor: After | None = None,
) -> StatsPage:
    """Counts for each user."""
    found = [
        one
        for one in here.jobs(caller).stats()
        if user in (None, one.user) and org_id in (None, one.org_id)
    ]
    shown, more = part_of(found, limit, cursor, lambda one: (one.org_id, one.user))
    return StatsPage(users=shown, next=more)


@router.get("/{job_id}", responses=documented(401, 404, 422))
def get(here: Here, caller: Caller, job_id: JobId) -> Job:
    """One job, by its id or a unique beginning of it."""
    return here.jobs(caller).get(job_id)


class AttemptPage(BaseModel):
    """By number; ``next`` is the cursor of the next page."""

    attempts: list[Attempt]
    next: str | None = None


@router.get("/{job_id}/attempts", responses=documented(401, 404, 422))
def attempts(
    here: Here,
    caller: Caller,
    job_id: JobId,
    state: Annotated[list[AttemptState] | None, Query()] = None,
    limit: Limit = 100,
    cursor: After | None = None,
) -> AttemptPage:
    """Each time it was run, the first time first."""
    found = [
        one for one in here.jobs(caller).get(job_id).attempts if not state or one.state in state
    ]
    shown, more = part_of(found, limit, cursor, lambda one: (ascending(one.number),))
    return AttemptPage(attempts=shown, next=more)


class EventPage(BaseModel):
    """The oldest first; ``next`` is the cursor of the next page."""

    events: list[Event]
    next: str | None = None


@router.get("/{job_id}/events", responses=documented(401, 404, 422))
def events(
    here: Here,
    caller: Caller,
    job_id: JobId,
    kind: Annotated[list[EventKind] | None, Query()] = None,
    limit: Limit = 100,
    cursor: After | None = None,
) -> EventPage:
    """What happened to it, the oldest first."""
    found = [one for one in here.jobs(caller).events([job_id]) if not kind or one.kind in kind]
    shown, more = part_of(found, limit, cursor, lambda one: (ascending(one.seq),))
    return EventPage(events=shown, next=more)


@router.get("/{job_id}/explain", responses=documented(401, 404, 422))
def explain(here: Here, caller: Caller, job_id: JobId) -> Explanation:
    """Why it has not started, or how it ended."""
    return here.explain(caller, job_id)


@router.get(
    "/{job_id}/logs",
    response_model=LogPiece,
    responses={
        **documented(401, 404, 422, 429),
        200: {
            "description": "Output as JSON, or with follow=1 a stream of events",
            "content": {"text/event-stream": {}},
        },
    },
)
async def read_logs(
    request: Request,
    here: Here,
    caller: Caller,
    job_id: JobId,
    attempt: AttemptNumber = None,
    step: Literal["", "setup", "teardown"] = "",
    offset: Annotated[int, Query(ge=0, le=2**53, description="Of stdout, in bytes")] = 0,
    stderr_offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=1 << 26, description="Bytes of each")] = 1 << 20,
    follow: bool = False,
) -> LogPiece | StreamingResponse:
    """A piece of what a job wrote; or, with ``follow``, all of it as it appears, until its end.
    With an ``attempt``, it is followed from there, and the offsets, on."""
    jobs = here.jobs(caller)
    job = await live.in_thread(jobs.get, job_id)
    if follow:
        last = request.headers.get("last-event-id")
        if last is None and attempt is not None:
            last = following.position(job, attempt, offset, stderr_offset)
        pieces = following.follow_logs(request.app.state.newsroom, jobs, job.id, last)
        is_allowed = await live.in_thread(pass_of, request)
        return live.Stream(pieces, is_allowed, request.app.state.listeners, caller.name)
    files = jobs.log_paths(job, attempt, step)
    out = await live.in_thread(logs.piece, files.stdout, offset, limit)
    err = await live.in_thread(logs.piece, files.stderr, stderr_offset, limit)
    return LogPiece(
        attempt=attempt or (job.attempts[-1].number if job.attempts else 1),
        stdout=out[0].decode(errors="replace"),
        stderr=err[0].decode(errors="replace"),
        next={"stdout": out[1], "stderr": err[1]},
        size={"stdout": out[2], "stderr": err[2]},
    )


_TEXT: dict[str, Any] = {"content": {"text/plain": {}}}


@router.head("/{job_id}/logs/{stream}", include_in_schema=False)
@router.get(
    "/{job_id}/logs/{stream}",
    response_class=Response,
    responses={
        **documented(401, 404, 416, 422, 429),
        200: {"description": "The bytes as they were written", **_TEXT},
        206: {"description": "The part of them that was asked for", **_TEXT},
    },
)
def download(
    request: Request,
    here: Here,
    caller: Caller,
    job_id: JobId,
    stream: Literal["stdout", "stderr"],
    attempt: AttemptNumber = None,
    step: Literal["", "setup", "teardown"] = "",
    tail: Annotated[int | None, Query(ge=1, le=1 << 26, description="Its last bytes")] = None,
    part: Annotated[
        str | None, Header(alias="Range", description="One part, as bytes=100-; not of a tail")
    ] = None,
    if_range: Annotated[str | None, Header(description="An ETag: else the whole")] = None,
) -> Response:
    """One stream, whole or its end, as a file. Of a job that still writes, it is what there is by
    now; name the ``attempt`` to go on later with the same."""
    jobs = here.jobs(caller)
    job = jobs.get(job_id)
    path = getattr(jobs.log_paths(job, attempt, step), stream)
    name = f"{job.id}.{stream}.log"
    crowd, is_head = request.app.state.listeners, request.method == "HEAD"
    return downloads.of(path, name, part, if_range, crowd, caller.name, tail=tail, is_head=is_head)


@router.delete("/{job_id}", responses=documented(401, 403, 404, 422))
def cancel(here: Here, caller: Caller, job_id: JobId) -> Job:
    """Cancel it; one that has ended stays as it is."""
    return here.jobs(caller).cancel([job_id])[0]


@router.post("/{job_id}/retry", status_code=202, responses=documented(401, 403, 404, 409, 422, 429))
def retry(here: Here, caller: Caller, job_id: JobId) -> Job:
    """Run it again, if it did not pass."""
    return here.jobs(caller).retry([job_id])[0]


@router.post("/{job_id}/priority", responses=documented(400, 401, 403, 404, 409, 413, 422))
def priority(here: Here, caller: Caller, job_id: JobId, body: NewPriority) -> Job:
    """Move it in line, while it waits."""
    return here.yard(caller).set_priority(job_id, body.priority)


@router.post("/{job_id}/force-complete", responses=documented(401, 403, 404, 409, 422))
def force_complete(here: Here, caller: Caller, job_id: JobId) -> Job:
    """Declare it passed, though it has not ended; what waits for it goes on."""
    return here.jobs(caller).complete([job_id])[0]


@router.post("/{job_id}/purge", status_code=204, responses=documented(401, 403, 404, 409, 422))
def purge(here: Here, caller: Caller, job_id: JobId) -> None:
    """Delete it, and its logs, once it has ended."""
    here.jobs(caller).purge(job_id)
