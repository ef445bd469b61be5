"""The form that submits shell commands."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from runyard.domain.job import PRIORITY_NAMES, Job, JobSpec, Kind
from runyard.errors import Forbidden, InvalidRequest, LimitReached
from runyard.service import drafts
from runyard.web.faults import said, status_of
from runyard.web.pages import render, repeat
from runyard.web.pages.visit import Poster, Visit, Visitor
from runyard.web.params import Text

router = APIRouter(prefix="/submit")

FIELDS = ("command", "name", "target", "build", "cwd", "priority", "timeout", "attempts", "labels")
MOST_LINES = 10_000
# What the form does not ask for, and what it is called.
KEPT = {
    "env": "variables",
    "payload": "payload",
    "silent_timeout": "timeout for silence",
    "retry_on": "exit codes to retry on",
    "retry_delay": "delay of retries",
    "limit_key": "limit",
    "limit": "limit",
}

Field = Annotated[str, Form(max_length=2000)]
LongField = Annotated[str, Form(max_length=1_000_000)]


@router.get("")
def form(visit: Visitor, job: Text = "") -> Response:
    """Empty, or filled in with what a job was."""
    visit.actor.require_change()
    if not job:
        return _form(visit, {})
    found, asked = _like(visit, job)
    return _form(visit, {**_of_job(found, asked), "like": found.id}, asked)


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
    like: Field = "",
    each_line: Annotated[bool, Form()] = False,
) -> Response:
    """One job, or a batch with one for each line; ``like`` another one in all that the form does
    not ask for."""
    command = "\n".join(command.split("\r\n"))  # as browsers end lines, and no shell does
    values: dict[str, Any] = dict(
        zip(
            FIELDS,
            (command, name, target, build, cwd, priority, timeout, attempts, labels),
            strict=True,
        )
    )
    jobs = visit.place.jobs(visit.actor)
    asked = None
    try:
        fields = {"kind": Kind.SHELL, **_fields(values)}
        if like:
            found, asked = _like(visit, like)
            fields |= _kept(found, asked)
        if not each_line:
            what = _what(command.strip(), asked)
            made = jobs.submit(drafts.validated({**fields, **what}))
            return render.see(f"/jobs/{made.id}", "submitted")
        batch = jobs.submit_batch(_each_line(command, fields), name=name.strip())
        return render.see(f"/batches/{batch.id}", "submitted")
    except Forbidden:
        raise
    except (InvalidRequest, LimitReached) as error:
        values |= {"each_line": each_line, "like": like}
        return _form(visit, values, asked, said(error), status_of(error))


def _like(visit: Visit, job_id: str) -> tuple[Job, JobSpec]:
    """A job to submit once more, with what its variables hold: only who may change it may have
    that run."""
    found = visit.place.jobs(visit.actor).get(job_id)
    return found, visit.place.lookout(visit.actor).asked(found.id, to_repeat=True)


def _kept(job: Job, asked: JobSpec) -> dict[str, Any]:
    """What the form does not ask for, as it was."""
    fields = asked.model_dump(include=set(KEPT), exclude_defaults=True)
    is_odd = asked.kind not in (Kind.SHELL, Kind.COMMAND)
    return {**fields, "org_id": job.org_id, **({"kind": asked.kind} if is_odd else {})}


def _what(text: str, asked: JobSpec | None) -> dict[str, Any]:
    """The command; a list of arguments stays one unless it is changed."""
    if asked is not None and text == repeat.command(asked).strip():
        return {"command": asked.command, "kind": asked.kind}
    return {"command": text}


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


def _of_job(job: Job, asked: JobSpec) -> dict[str, Any]:
    return {
        "command": repeat.command(asked),
        "name": asked.name,
        "target": job.target,
        "build": job.app_version_id or "",
        "cwd": asked.cwd or "",
        "priority": str(job.priority),
        "timeout": repeat.written(asked.timeout) if asked.timeout else "",
        "attempts": str(asked.max_attempts),
        "labels": "\n".join(f"{key}={value}" for key, value in asked.labels.items()),
    }


def _kept_words(asked: JobSpec) -> list[str]:
    fields = asked.model_dump(include=set(KEPT), exclude_defaults=True)
    found = list(dict.fromkeys(KEPT[field] for field in KEPT if field in fields))
    return [f"{word} {', '.join(asked.env)}" if word == KEPT["env"] else word for word in found]


def _form(
    visit: Visit,
    values: dict[str, Any],
    asked: JobSpec | None = None,
    fault: str = "",
    status: int = 200,
) -> Response:
    devices = visit.place.yard(visit.actor).devices()
    return render.page(
        visit,
        "submit.html",
        status,
        values={**dict.fromkeys(FIELDS, ""), "each_line": False, "like": "", **values},
        kept=_kept_words(asked) if asked else [],
        fault=fault,
        targets=sorted({"local", *(d.target for d in devices if d.target)}),
        priorities=PRIORITY_NAMES,
    )
