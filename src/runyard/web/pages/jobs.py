"""Jobs: all of them, and one with its attempts and what it writes."""

from __future__ import annotations

from posixpath import isabs
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Response

from runyard.domain.ids import is_batch_id
from runyard.domain.job import PRIORITY_NAMES, Job, State, parse_priority
from runyard.domain.listing import JobFilter
from runyard.errors import InvalidRequest
from runyard.execution import logs
from runyard.execution.bounds import Bounds
from runyard.service.endings import failure
from runyard.web.pages import render, repeat
from runyard.web.pages.visit import Poster, Visit, Visitor
from runyard.web.params import Text

router = APIRouter(prefix="/jobs")

LONG = 50  # jobs of a page
TAIL = 1 << 20  # bytes of each stream that a page begins with
EVENTS = 200  # shown of one job, the newest


@router.get("")
def jobs(
    visit: Visitor,
    state: Annotated[State | None, Query()] = None,
    q: Text = "",
    target: Text = "",
    build: Text = "",
    by: Text = "",
    label: Text = "",
    cursor: Text | None = None,
) -> Response:
    """The newest first, of those that fit."""
    key, equals, value = label.strip().partition("=")
    wanted = JobFilter(
        states=frozenset({state} if state else ()),
        app_version_id=build.strip() or None,
        target=target.strip() or None,
        submitted_by=by.strip() or None,
        labels={key: value if equals else None} if key else {},
        text=q.strip(),
    )
    found = visit.place.jobs(visit.actor).page(wanted, LONG, cursor)
    chosen = {"q": q, "target": target, "build": build, "by": by, "label": label}
    return render.page(
        visit,
        "jobs.html",
        jobs=found.jobs,
        next=found.next,
        cursor=cursor,
        state=state.value if state else "",
        chosen={name: text for name, text in chosen.items() if text},
        events=None if cursor else "/api/v1/events",
    )


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
        priorities=PRIORITY_NAMES,
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
