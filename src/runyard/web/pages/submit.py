"""The form that submits shell commands."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from runyard.domain.job import PRIORITY_NAMES, Job, Kind
from runyard.errors import Forbidden, InvalidRequest, LimitReached
from runyard.service import drafts
from runyard.web.faults import said, status_of
from runyard.web.pages import render, words
from runyard.web.pages.visit import Poster, Visit, Visitor
from runyard.web.params import Text

router = APIRouter(prefix="/submit")

FIELDS = ("command", "name", "target", "build", "cwd", "priority", "timeout", "attempts", "labels")
MOST_LINES = 10_000

Field = Annotated[str, Form(max_length=2000)]
LongField = Annotated[str, Form(max_length=1_000_000)]


@router.get("")
def form(visit: Visitor, job: Text = "") -> Response:
    """Empty, or filled in with what a job was."""
    visit.actor.require_change()
    values = _of_job(visit.place.jobs(visit.actor).get(job)) if job else {}
    return _form(visit, values)


@router.post("")
def submit(
    visit: Poster,
    request: Request,
    command: LongField = "",
    name: Field = "",
    target: Field = "",
    build: Field = "",
    cwd: Field = "",
    priority: Field = "",
    timeout: Field = "",
    attempts: Field = "",
    labels: LongField = "",
    each_line: Annotated[bool, Form()] = False,
) -> Response:
    """One job, or a batch with one for each line."""
    values: dict[str, Any] = dict(
        zip(
            FIELDS,
            (command, name, target, build, cwd, priority, timeout, attempts, labels),
            strict=True,
        )
    )
    jobs = visit.place.jobs(visit.actor)
    try:
        fields = _fields(values)
        if not each_line:
            made = jobs.submit(drafts.validated({**fields, "command": command.strip()}))
            return render.see(f"/jobs/{made.id}", "submitted")
        batch = jobs.submit_batch(_each_line(command, fields), name=name.strip())
        return render.see(f"/batches/{batch.id}", "submitted")
    except Forbidden:
        raise
    except (InvalidRequest, LimitReached) as error:
        return _form(visit, {**values, "each_line": each_line}, said(error), status_of(error))


def _fields(values: dict[str, str]) -> dict[str, Any]:
    """What was filled in, as fields of a job."""
    given = {name: text.strip() for name, text in values.items() if text.strip()}
    found: dict[str, Any] = {
        field: given[name]
        for name, field in {
            "name": "name",
            "target": "target",
            "build": "app_version_id",
            "cwd": "cwd",
            "priority": "priority",
        }.items()
        if name in given
    }
    found["kind"] = Kind.SHELL
    if "timeout" in given:
        found["timeout"] = _number("timeout", given["timeout"])
    if "attempts" in given:
        found["max_attempts"] = _number("attempts", given["attempts"])
    if "labels" in given:
        pairs = [line.partition("=") for line in given["labels"].splitlines() if line.strip()]
        found["labels"] = {key.strip(): value.strip() for key, _, value in pairs}
    return found


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise InvalidRequest(f"{name} is {text[:40]!r}; it must be a number") from None
    return int(value) if value.is_integer() else value


def _each_line(text: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise InvalidRequest("there is no command")
    if len(lines) > MOST_LINES:
        raise InvalidRequest(f"a batch from this form has at most {MOST_LINES:,} jobs")
    common = {name: value for name, value in fields.items() if name != "name"}
    return [{**common, "command": line} for line in lines]


def _of_job(job: Job) -> dict[str, Any]:
    return {
        "command": words.command(job),
        "name": job.name if job.name != words.command(job) else "",
        "target": job.target,
        "build": job.app_version_id or "",
        "cwd": job.cwd or "",
        "priority": str(job.priority),
        "labels": "\n".join(f"{key}={value}" for key, value in job.labels.items()),
    }


def _form(visit: Visit, values: dict[str, Any], fault: str = "", status: int = 200) -> Response:
    devices = visit.place.yard(visit.actor).devices()
    return render.page(
        visit,
        "submit.html",
        status,
        values={**dict.fromkeys(FIELDS, ""), "each_line": False, **values},
        fault=fault,
        targets=sorted({"local", *(d.target for d in devices if d.target)}),
        priorities=PRIORITY_NAMES,
    )
