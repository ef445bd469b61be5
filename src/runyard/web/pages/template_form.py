"""The form that saves a template: a new one, one that is changed, or what a job was."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Response

from runyard.errors import Conflict, InvalidRequest, RunyardError
from runyard.service import documents, yaml12
from runyard.web.faults import status_of
from runyard.web.pages import render
from runyard.web.pages.templates import Name, Org
from runyard.web.pages.visit import Poster, Visit, Visitor
from runyard.web.params import NO_NUL, Text

# No template has a name that begins with a dash.
router = APIRouter(prefix="/templates/-/save")

FIELDS = ("name", "description", "directory", "document")
# Of a job that is to be done again and again, not once more.
OF_ONE_RUN = {"env", "org_id", "idempotency_key", "run_after", "depends_on"}

Line = Annotated[str, Form(max_length=4000, pattern=NO_NUL)]
LongField = Annotated[str, Form(max_length=2_000_000)]


@router.get("")
def form(visit: Visitor, name: Text = "", org: Text | None = None, job: Text = "") -> Response:
    """Empty, or filled in with the template of that name, or with what a job was."""
    visit.actor.require_change()
    if job:
        return _form(visit, _of_job(visit, job))
    if not name:
        return _form(visit, {})
    found = visit.place.templates(visit.actor).get(name, org)
    rest = {key: value for key, value in found.document.items() if key != "description"}
    values = {
        "name": name,
        "description": found.description,
        "directory": found.directory or "",
        "document": yaml12.dump(rest),
    }
    return _form(visit, values, saved_org=found.org_id)


@router.post("")
def save(
    visit: Poster,
    name: Name = "",
    description: Line = "",
    directory: Line = "",
    document: LongField = "",
    org: Org = "",
) -> Response:
    """Save it: over the template of that name if an ``org`` is named, else as a new one."""
    templates = visit.place.templates(visit.actor)
    lines = "\n".join(document.split("\r\n"))  # as browsers end lines, and no shell does
    try:
        whole = documents.written("job file", lines).value
        if isinstance(whole, dict) and description.strip():
            whole["description"] = description.strip()
        saved = templates.save(
            name.strip(),
            whole,
            org_id=org or None,
            directory=directory.strip() or None,
            is_new=not org,
        )
    except (InvalidRequest, Conflict) as error:
        values = dict(zip(FIELDS, (name, description, directory, lines), strict=True))
        return _form(visit, values, saved_org=org, fault=error)
    return render.see(f"/templates/{saved.name}?org={quote(saved.org_id)}", "saved")


def _of_job(visit: Visit, job_id: str) -> dict[str, str]:
    """What a job was, without what its variables held: that may be secret, and all of an org read
    its templates."""
    job = visit.place.jobs(visit.actor).get(job_id)
    asked = visit.place.lookout(visit.actor).asked(job.id)
    fields: dict[str, Any] = {
        **asked.model_dump(mode="json", exclude=OF_ONE_RUN, exclude_defaults=True),
        "target": job.target,
        "app_version_id": job.app_version_id,
        "priority": job.priority,
        "env": dict.fromkeys(asked.env, ""),
    }
    given = {name: value for name, value in fields.items() if value not in (None, {})}
    return {"document": yaml12.dump({"tasks": [{"name": job.name, **given}]})}


def _form(
    visit: Visit,
    values: dict[str, str],
    *,
    saved_org: str = "",
    fault: RunyardError | None = None,
) -> Response:
    return render.page(
        visit,
        "template_form.html",
        status_of(fault) if fault else 200,
        values={**dict.fromkeys(FIELDS, ""), **values},
        saved_org=saved_org,
        fault=str(fault) if fault else "",
    )
