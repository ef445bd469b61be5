"""The form that submits jobs: one, or a batch with one for each line or each of a matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from runyard.domain.job import Job, JobSpec, Kind
from runyard.errors import Forbidden, InvalidRequest, LimitReached, NotFound
from runyard.execution.bounds import Bounds
from runyard.execution.workdirs import NoEntry
from runyard.service import drafts
from runyard.web.faults import said, status_of
from runyard.web.live import in_thread
from runyard.web.pages import jobform, render, repeat
from runyard.web.pages.visit import Poster, Visit, Visitor
from runyard.web.params import Text

router = APIRouter(prefix="/submit")

MOST_LINES = 10_000
MOST_NEEDED = 1_000  # jobs to wait for, each of which is looked up
# Shown only when somebody wants more, or something in it is filled in.
MORE = set(jobform.READ) - {"name", "target", "app_version_id", "cwd"}
WHAT_ELSE = ("each_line", "like")  # the form sends, that no job has


@router.get("")
def form(visit: Visitor, job: Text = "") -> Response:
    """Empty, or filled in with what a job was."""
    visit.actor.require_change()
    if not job:
        return _form(visit, {})
    found, asked = _like(visit, job)
    values = jobform.of_job(asked) | {"priority": str(found.priority), "org_id": found.org_id}
    return _form(visit, {**values, "like": found.id}, asked)


@router.post("")
async def submit(visit: Poster, request: Request) -> Response:
    """One job, or a batch; ``like`` another one in what the form does not show."""
    sent = await request.form()
    values = {name: str(sent.get(name, "")) for name in (*jobform.FIELDS, *WHAT_ELSE)}
    # As browsers end lines, and no shell does.
    return await in_thread(_submit, visit, {k: v.replace("\r\n", "\n") for k, v in values.items()})


def _submit(visit: Visit, values: dict[str, str]) -> Response:
    visit.actor.require_change()
    found, asked = _like(visit, values["like"]) if values["like"] else (None, None)
    filled = jobform.read(values)
    if found is not None and asked is not None:
        filled.fields["env"] = {**asked.env, **filled.fields.get("env", {})}
        filled.fields.setdefault("org_id", found.org_id)
    commands = _commands(values, asked)
    filled.fields.update(commands[0])
    if len(commands) > MOST_LINES:
        filled.faults["command"] = f"a batch from this form has at most {MOST_LINES:,} jobs"
    jobform.check(filled)
    _look(visit, filled)
    if filled.faults:
        return _form(visit, values, asked, filled.faults)
    try:
        return render.see(_made(visit, values, filled, commands), "submitted")
    except Forbidden:
        raise
    except (InvalidRequest, LimitReached, NotFound) as error:
        return _form(visit, values, asked, {"": said(error)}, status_of(error))


def _made(
    visit: Visit, values: Mapping[str, str], filled: jobform.Filled, commands: list[dict[str, Any]]
) -> str:
    """Submit it; the path of what was made."""
    jobs = visit.place.jobs(visit.actor)
    if not values["each_line"] and not filled.is_many:
        return f"/jobs/{jobs.submit(drafts.validated(filled.fields)).id}"
    name = values["name"].strip()
    common = dict(filled.fields)
    if values["each_line"] and not filled.is_many:
        common.pop("name", None)  # which the batch has, and each job what it runs
    batch = jobs.submit_batch([{**common, **command} for command in commands], name=name)
    return f"/batches/{batch.id}"


def _look(visit: Visit, filled: jobform.Filled) -> None:
    """Add what is wrong with a form as far as what is here tells."""
    fields = filled.fields
    if len(fields.get("depends_on", ())) > MOST_NEEDED:
        filled.faults["depends_on"] = f"at most {MOST_NEEDED:,} jobs"
    elif "depends_on" in fields and "depends_on" not in filled.faults:
        try:
            fields["depends_on"] = visit.place.jobs(visit.actor).full_ids(fields["depends_on"])
        except (NotFound, InvalidRequest) as error:
            filled.faults["depends_on"] = str(error)
    starts_later = "depends_on" in fields or "run_after" in fields
    try:
        Bounds.of(visit.place.settings).workdirs.check(
            fields.get("cwd"), may_be_missing=starts_later
        )
    except NoEntry as error:
        filled.faults.setdefault("cwd", str(error))


def _like(visit: Visit, job_id: str) -> tuple[Job, JobSpec]:
    """A job to submit once more, with what its variables hold: only who may change it may have
    that run."""
    found = visit.place.jobs(visit.actor).get(job_id)
    return found, visit.place.lookout(visit.actor).asked(found.id, to_repeat=True)


def _commands(values: Mapping[str, str], asked: JobSpec | None) -> list[dict[str, Any]]:
    """What is to be run, by one job or by each of several; a list of arguments stays one unless it
    is changed."""
    text, kind = values["command"].strip(), values["kind"] or Kind.SHELL
    if not values["each_line"]:
        is_same = asked is not None and text == repeat.command(asked).strip()
        if is_same and asked is not None and (asked.kind, kind) == (Kind.COMMAND, Kind.SHELL):
            return [{"command": asked.command, "kind": asked.kind}]
        return [{"command": text, "kind": kind}]
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return [{"command": line, "kind": kind} for line in lines or [""]]


def _form(
    visit: Visit,
    values: Mapping[str, str],
    asked: JobSpec | None = None,
    faults: Mapping[str, str] | None = None,
    status: int = 400,
) -> Response:
    devices = visit.place.yard(visit.actor).devices()
    wrong = dict(faults or {})
    usual = {
        **dict.fromkeys(MORE, ("",)),
        "priority": ("", "5"),
        "org_id": ("", visit.actor.org_id),
    }
    return render.page(
        visit,
        "submit.html",
        status if wrong else 200,
        values={**dict.fromkeys((*jobform.FIELDS, *WHAT_ELSE), ""), **values},
        faults=wrong,
        kept=list(asked.env) if asked else [],
        kinds=jobform.KINDS,
        targets=sorted({"local", *(d.target for d in devices if d.target)}),
        has_more=any(name in wrong or values.get(name, "") not in usual[name] for name in MORE),
        focus=next((name for name in jobform.FIELDS if name in wrong), "command"),
    )
