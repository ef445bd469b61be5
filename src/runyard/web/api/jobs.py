"""Jobs over REST."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from runyard.domain.batch import MOST_TOGETHER
from runyard.domain.event import Event
from runyard.domain.explanation import Explanation
from runyard.domain.job import Attempt, Job, JobSpec, Priority, ShortText, State
from runyard.domain.listing import JobFilter
from runyard.execution import logs
from runyard.service.drafts import Draft
from runyard.web import following, live
from runyard.web.answers import Answering
from runyard.web.callers import Caller, Here, pass_of
from runyard.web.faults import documented
from runyard.web.params import AnyBatch, Cursor, IdempotencyKey, JobId, Limit, Text, one_key

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


def _later(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, dict) else check(value)


Result = TypeVar("Result")
_KEY: TypeAdapter[str | None] = TypeAdapter(ShortText | None)


class NewJob(JobSpec):
    """A job. With a ``matrix`` it stands for one job for each combination of values, with
    ``{axis}`` filled in, but for those that ``exclude`` names."""

    matrix: dict[str, list[Any]] | None = None
    exclude: list[dict[str, Any]] | None = None


# To be checked by the endpoint, in its thread: what is checked before keeps all others waiting.
Spec = Annotated[NewJob, WrapValidator(_later)]
SpecList = Annotated[list[Spec], Field(min_length=1, max_length=MOST_TOGETHER)]


def _is_many(spec: Mapping[str, Any]) -> bool:
    """Whether it stands for many, even if these turn out to be one."""
    return spec.get("matrix") is not None or spec.get("exclude") is not None


def _draft(spec: Any, *where: int) -> Draft:
    """Checked, unless it can be only when its values are filled in."""
    return spec if _is_many(spec) else _checked(spec, *where)


def _checked(spec: Any, *where: int) -> JobSpec:
    fields = {name: value for name, value in spec.items() if name not in ("matrix", "exclude")}
    return _refusing(JobSpec.model_validate, fields, *where)


def _refusing(check: Callable[[Any], Result], value: Any, *where: int | str) -> Result:
    """As FastAPI would, had it checked."""
    try:
        return check(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *where, *fault["loc"])} for fault in faults]
        ) from None


def _one_or_many(body: object) -> str:
    return "many" if isinstance(body, list) else "one"


# Told apart first, so that a fault of one is not also one of the other.
OneOrMany = Annotated[
    Annotated[Spec, Tag("one")] | Annotated[SpecList, Tag("many")], Discriminator(_one_or_many)
]


@router.post("", status_code=202, responses=documented(400, 401, 403, 404, 409, 413, 422, 429))
def submit(
    here: Here, caller: Caller, body: OneOrMany, idempotency_key: IdempotencyKey = None
) -> Job | JobPage:
    """Submit one job, or several at once, all of them or none. Several are answered by a list, and
    so is one with a ``matrix``: the jobs it stands for."""
    jobs, many = here.jobs(caller), _many(body)
    if many is None:
        spec = _checked(body)
        key = one_key(spec.idempotency_key, idempotency_key)
        return jobs.submit(spec.model_copy(update={"idempotency_key": key}))
    found, key = many
    key = one_key(key, idempotency_key)
    return JobPage(jobs=jobs.submit_many(found, idempotency_key=key))


def _many(body: Any) -> tuple[list[Draft], str | None] | None:
    """The jobs of a submission and its key, which of a single one is in the body; None of one that
    is one job."""
    if isinstance(body, list):
        return [_draft(one, number) for number, one in enumerate(body)], None
    if not _is_many(body):
        return None
    key = _refusing(_KEY.validate_python, body.get("idempotency_key"), "idempotency_key")
    return [{name: value for name, value in body.items() if name != "idempotency_key"}], key


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
    """Jobs, the newest first. A page may be short, or empty, before the last one: go on while
    there is a ``next``."""
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


class UserStats(BaseModel):
    """How many jobs a user of an org ever submitted, and what became of them."""

    user: str
    org_id: str
    submitted: int
    waiting: int
    running: int
    passed: int
    failed: int
    cancelled: int
    skipped: int


class Stats(BaseModel):
    """By org and user."""

    users: list[UserStats]


@router.get("/stats", responses=documented(401))
def stats(here: Here, caller: Caller) -> Stats:
    """Counts for each user."""
    return Stats(
        users=[
            UserStats(
                user=total.submitted_by,
                org_id=total.org_id,
                submitted=total.submitted,
                waiting=total.waiting,
                running=total.running,
                passed=total.passed,
                failed=total.failed,
                cancelled=total.cancelled,
                skipped=total.skipped,
            )
            for total in here.jobs(caller).totals()
        ]
    )


@router.get("/{job_id}", responses=documented(401, 404, 422))
def get(here: Here, caller: Caller, job_id: JobId) -> Job:
    """One job, by its id or a unique beginning of it."""
    return here.jobs(caller).get(job_id)


@router.get("/{job_id}/attempts", responses=documented(401, 404, 422))
def attempts(here: Here, caller: Caller, job_id: JobId) -> list[Attempt]:
    """Each time it was run."""
    return here.jobs(caller).get(job_id).attempts


@router.get("/{job_id}/events", responses=documented(401, 404, 422))
def events(here: Here, caller: Caller, job_id: JobId) -> list[Event]:
    """What happened to it, the oldest first."""
    return list(here.jobs(caller).events([job_id]))


@router.get("/{job_id}/explain", responses=documented(401, 404, 422))
def explain(here: Here, caller: Caller, job_id: JobId) -> Explanation:
    """Why it has not started, or how it ended."""
    return here.explain(caller, job_id)


@router.get(
    "/{job_id}/logs",
    response_model=LogPiece,
    responses={
        **documented(401, 404, 422),
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
        return live.stream(pieces, await live.in_thread(pass_of, request))
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


@router.get(
    "/{job_id}/logs/{stream}",
    response_class=StreamingResponse,
    responses={
        **documented(401, 404, 422),
        200: {"description": "The bytes as they were written", "content": {"text/plain": {}}},
    },
)
def download(
    here: Here,
    caller: Caller,
    job_id: JobId,
    stream: Literal["stdout", "stderr"],
    attempt: AttemptNumber = None,
    step: Literal["", "setup", "teardown"] = "",
    tail: Annotated[int | None, Query(ge=1, le=1 << 26, description="Its last bytes")] = None,
) -> StreamingResponse:
    """One stream, whole or its end, as a file."""
    jobs = here.jobs(caller)
    job = jobs.get(job_id)
    path = getattr(jobs.log_paths(job, attempt, step), stream)

    def pieces() -> Iterator[bytes]:
        if tail is None:
            yield from logs.stretches(path)
        else:
            yield logs.tail(path, tail)

    name = f"{job.id}.{stream}.log"
    return StreamingResponse(
        pieces(),
        media_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


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
