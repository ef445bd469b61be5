"""The form that submits a job file: what a batch is, with what needs what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Response

from runyard.domain import written
from runyard.domain.batch import Batch
from runyard.errors import Conflict, Forbidden, InvalidRequest, LimitReached, NotFound
from runyard.service import documents, jobfile
from runyard.service.jobfile import Directories
from runyard.web.faults import said, status_of
from runyard.web.pages import render
from runyard.web.pages.visit import Poster, Visit, Visitor
from runyard.web.params import NO_NUL

router = APIRouter(prefix="/submit/file")

FIELDS = ("document", "name", "parameters", "directory")

Line = Annotated[str, Form(max_length=4000, pattern=NO_NUL)]
LongField = Annotated[str, Form(max_length=1_000_000)]


@router.get("")
def form(visit: Visitor) -> Response:
    """Empty."""
    visit.actor.require_change()
    return _form(visit, {})


@router.post("")
def submit(
    visit: Poster,
    document: LongField = "",
    name: Line = "",
    parameters: LongField = "",
    directory: Line = "",
) -> Response:
    """A batch of all that it asks for."""
    visit.actor.require_change()
    # As browsers end lines, and nobody else does.
    sent = (text.replace("\r\n", "\n") for text in (document, name, parameters, directory))
    values = dict(zip(FIELDS, sent, strict=True))
    given: dict[str, str] = {}
    try:
        given = _parameters(values["parameters"])
    except ValueError as error:
        return _form(visit, values, {"parameters": str(error)})
    try:
        batch = _submitted(visit, values, given)
    except Forbidden:
        raise
    except (InvalidRequest, Conflict, LimitReached, NotFound) as error:
        return _form(visit, values, {"document": said(error)}, status_of(error))
    return render.see(f"/batches/{batch.id}", "submitted")


def _parameters(text: str) -> dict[str, str]:
    pairs = (written.pair(line.strip()) for line in text.split("\n") if line.strip())
    return {name: value or "" for name, value in pairs}


def _submitted(visit: Visit, values: Mapping[str, str], parameters: Mapping[str, str]) -> Batch:
    place = Path(values["directory"].strip()) if values["directory"].strip() else None
    document = documents.written("job file", values["document"])
    found = jobfile.parse(document, Directories(place, place), parameters)
    name = values["name"].strip() or found.name
    return visit.place.jobs(visit.actor).submit_batch(
        found.specs, name=name, description=found.description
    )


def _form(
    visit: Visit,
    values: Mapping[str, str],
    faults: Mapping[str, str] | None = None,
    status: int = 400,
) -> Response:
    return render.page(
        visit,
        "submit_file.html",
        status if faults else 200,
        values={**dict.fromkeys(FIELDS, ""), **values},
        faults=dict(faults or {}),
        focus=next(iter(faults or {}), "document"),
    )
