"""Batches over REST."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from runyard.domain.batch import LONGEST_DESCRIPTION, LONGEST_NAME, MOST_JOBS, Batch
from runyard.domain.job import Job, ShortText, State
from runyard.domain.job import Text as Words
from runyard.domain.listing import BatchFilter, JobFilter
from runyard.web.bodies import Route
from runyard.web.callers import Caller, Here
from runyard.web.faults import documented
from runyard.web.params import BatchId, Cursor, IdempotencyKey, Limit, Text, one_key

router = APIRouter(prefix="/job-batches", tags=["batches"], route_class=Route)


BatchState = Literal["queued", "running", "passed", "failed", "cancelled"]


class NewBatch(BaseModel):
    """Jobs to be submitted together; they may depend on each other by name. A ``matrix`` fans out
    those that have none of their own."""

    model_config = ConfigDict(extra="forbid")

    name: Words = Field(default="", max_length=LONGEST_NAME)
    description: Words = Field(default="", max_length=LONGEST_DESCRIPTION)
    org_id: ShortText | None = None
    idempotency_key: ShortText | None = None
    matrix: dict[str, list[Any]] | None = None
    exclude: list[dict[str, Any]] | None = None
    jobs: list[dict[str, Any]] = Field(max_length=MOST_JOBS)


class BatchList(BaseModel):
    """Batches, the newest first; ``next`` is the cursor of the next page."""

    batches: list[Batch]
    next: str | None = None


class BatchWithJobs(Batch):
    """A batch with its first members; the others are at ``/jobs?batch_id=``."""

    jobs: list[Job] = Field(default_factory=list)
    next: str | None = None


@router.post("", status_code=202, responses=documented(400, 401, 403, 404, 409, 413, 422, 429))
def submit(
    here: Here,
    caller: Caller,
    body: NewBatch,
    idempotency_key: IdempotencyKey = None,
) -> Batch:
    """Submit a batch: all of it, or on any error none."""
    return here.jobs(caller).submit_batch(
        body.jobs,
        matrix=body.matrix,
        exclude=body.exclude,
        name=body.name,
        description=body.description,
        org_id=body.org_id,
        idempotency_key=one_key(body.idempotency_key, idempotency_key),
    )


@router.get("", responses=documented(401, 404, 422))
def page(
    here: Here,
    caller: Caller,
    state: Annotated[list[BatchState] | None, Query()] = None,
    org_id: Text | None = None,
    submitted_by: Text | None = None,
    q: Annotated[Text, Query(description="Part of the name")] = "",
    limit: Limit = 50,
    cursor: Cursor | None = None,
) -> BatchList:
    """Batches, the newest first."""
    wanted = BatchFilter(frozenset(map(State, state or ())), org_id, submitted_by, q)
    found = here.jobs(caller).batch_page(wanted, limit, cursor)
    return BatchList(batches=found.batches, next=found.next)


@router.get("/{batch_id}", responses=documented(401, 404, 422))
def get(here: Here, caller: Caller, batch_id: BatchId, limit: Limit = 100) -> BatchWithJobs:
    """A batch with its counters and its newest members."""
    jobs = here.jobs(caller)
    batch = jobs.get_batch(batch_id)
    members = jobs.page(JobFilter(batch_id=batch.id), limit)
    return BatchWithJobs(**batch.model_dump(), jobs=members.jobs, next=members.next)


@router.post("/{batch_id}/cancel", responses=documented(401, 403, 404, 422))
def cancel(here: Here, caller: Caller, batch_id: BatchId) -> Batch:
    """Cancel what has not ended of it."""
    jobs = here.jobs(caller)
    jobs.cancel([batch_id])
    return jobs.get_batch(batch_id)


@router.post(
    "/{batch_id}/retry", status_code=202, responses=documented(401, 403, 404, 409, 422, 429)
)
def retry(here: Here, caller: Caller, batch_id: BatchId) -> Batch:
    """Run again what ended without passing."""
    jobs = here.jobs(caller)
    jobs.retry([batch_id])
    return jobs.get_batch(batch_id)


@router.delete("/{batch_id}", status_code=204, responses=documented(401, 403, 404, 409, 422))
def purge(here: Here, caller: Caller, batch_id: BatchId) -> None:
    """Delete it with its members and their logs, once it has ended."""
    here.jobs(caller).purge_batch(batch_id)
