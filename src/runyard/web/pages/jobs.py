"""Jobs: all of them, and one with its attempts and what it writes."""

from __future__ import annotations

from posixpath import isabs
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Response

from runyard.domain.ids import is_batch_id
from runyard.domain.job import Job, parse_priority
from runyard.domain.listing import JobFilter, Page
from runyard.errors import InvalidRequest, NotFound
from runyard.execution import logs
from runyard.execution.bounds import Bounds
from runyard.service.endings import failure
from runyard.web.pages import render, repeat
from runyard.web.pages.narrowing import (
    BUILD,
    BY,
    ORG,
    STATE,
    TARGET,
    Field,
    Narrowed,
    Q,
    States,
    chosen,
)
from runyard.web.pages.visit import Poster, Visit, Visitor
from runyard.web.params import Text

router = APIRouter(prefix="/jobs")

LONG = 50  # jobs of a page
MOST_LABELS = 16  # asked for at once; each makes the database look once more for each job
LABEL = Field("label", "Label", "key or key=value", several=True)
BATCH = Field("batch_id", "Batch", "its id")
TAIL = 1 << 20  # bytes of each stream that a page begins with
EVENTS = 200  # shown of one job, the newest


@router.get("")
def jobs(
    visit: Visitor,
    state: States = [],  # noqa: B006
    q: Text = "",
    target: Text = "",
    app_version_id: Text = "",
    submitted_by: Text = "",
    batch_id: Text = "",
    org_id: Text = "",
    label: Annotated[list[Text], Query(max_length=MOST_LABELS)] = [],  # noqa: B006
    cursor: Text | None = None,
) -> Response:
    """The newest first, of those that fit."""
    wanted = JobFilter(
        states=frozenset(state),
        batch_id=chosen(batch_id),
        org_id=chosen(org_id),
        app_version_id=chosen(app_version_id),
        target=chosen(target),
        submitted_by=chosen(submitted_by),
        labels=dict(_label(one.strip()) for one in label if one.strip()),
        text=q.strip(),
    )
    fault, found = "", Page([], None)
    try:
        found = visit.place.jobs(visit.actor).page(wanted, LONG, cursor)
    except NotFound as error:
        if not batch_id:
            raise
        fault = str(error)
    others = [ORG] if visit.actor.sees is None else []
    return render.page(
        visit,
        "jobs.html",
        jobs=found.jobs,
        batch_names=visit.place.lookout(visit.actor).batch_names(
            {job.batch_id for job in found.jobs if job.batch_id}
        ),
        next=found.next,
        cursor=cursor,
        by=Narrowed.of(visit.request, STATE, Q, TARGET, BUILD, BY, LABEL, BATCH, *others),
        fault=fault,
        events=None if cursor else "/api/v1/events",
    )


def _label(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    return key, value if equals else None


@router.get("/{job_id}")
def job(
    visit: Visitor,
    job_id: str,
    attempt: Annotated[int | None, Query(ge=0, le=2**31)] = None,
) -> Response:
    """One job, all there is to know."""
    requests = visit.place.jobs(visit.actor)
    found = requests.get(job_id)
    events = requests.events([found.id])
    lookout = visit.place.lookout(visit.actor)
    asked = lookout.asked(found.id)
    cwd = Bounds.of(visit.place.settings).workdirs.of(asked.cwd)
    if cwd is not None and not isabs(cwd):
        cwd = None  # only its worker knows from where
    parents = [requests.get(parent) for parent in found.depends_on[:20]]
    return render.page(
        visit,
        "job.html",
        job=found,
        attempt=attempt,
        batch_name=requests.get_batch(found.batch_id).name if found.batch_id else "",
        in_graph=bool(found.batch_id) and lookout.has_graph(found.batch_id or ""),
        why=visit.place.explain(visit.actor, found.id),
        parents=parents,
        history=events[-EVENTS:],
        left_out=max(0, len(events) - EVENTS),
        reasons={one.number: failure(one.reason, one) for one in found.attempts if one.reason},
        asked=asked,
        cwd=cwd,
        by_hand=repeat.by_hand(found, asked, cwd),
        again=repeat.as_job(found, asked, cwd),
        log=_log(visit, found, attempt),
        may_change=visit.actor.may_change(found.submitted_by),
        events=f"/api/v1/events?job_id={found.id}",
    )


def _log(visit: Visit, found: Job, attempt: int | None) -> dict[str, Any]:
    """Where the script begins to read what was written: not far from the end."""
    files = visit.place.jobs(visit.actor).log_paths(found, attempt)
    size = {
        "stdout": logs.piece(files.stdout, 0, 1)[2],
        "stderr": logs.piece(files.stderr, 0, 1)[2],
    }
    return {
        "size": size,
        "begin": {name: max(0, length - TAIL) for name, length in size.items()},
        "attempt": attempt or (found.attempts[-1].number if found.attempts else None),
    }


@router.post("/{job_id}/complete")
def complete(visit: Poster, job_id: str) -> Response:
    """Declare it passed."""
    visit.place.jobs(visit.actor).complete([_job_id(job_id)])
    return render.see(f"/jobs/{job_id}", "completed")


@router.post("/{job_id}/priority")
def priority(
    visit: Poster, job_id: str, value: Annotated[str, Form(max_length=20)] = ""
) -> Response:
    """Move it in line."""
    try:
        wanted = int(str(parse_priority(value)))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    if not 0 <= wanted <= 10:
        raise InvalidRequest("priority is a whole number from 0 to 10")
    visit.place.yard(visit.actor).set_priority(job_id, wanted)
    return render.see(f"/jobs/{job_id}", "priority")


def _job_id(text: str) -> str:
    """A job's id, where a batch's would do more than was asked for."""
    if is_batch_id(text):
        raise InvalidRequest(f"{text} is a batch")
    return text
