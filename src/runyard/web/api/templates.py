"""Templates over REST."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from runyard.domain.batch import Batch
from runyard.domain.job import ShortText
from runyard.domain.job import Text as Words
from runyard.domain.listing import NameFilter, place_of
from runyard.domain.parameters import Value
from runyard.domain.template import Template
from runyard.web.bodies import Route
from runyard.web.callers import Caller, Here
from runyard.web.faults import documented
from runyard.web.paging import page_of
from runyard.web.params import After, IdempotencyKey, Limit, Name, PartOfName, Text, one_key

router = APIRouter(prefix="/templates", tags=["templates"], route_class=Route)


class SavedTemplate(BaseModel):
    """A job file, or the fields of one job. Relative paths in it start from ``directory``."""

    model_config = ConfigDict(extra="forbid")

    document: Any
    org_id: ShortText | None = None
    directory: Words | None = Field(default=None, max_length=4096)


class Values(BaseModel):
    """What a run fills in."""

    model_config = ConfigDict(extra="forbid")

    parameters: dict[str, Value] = Field(default_factory=dict)
    org_id: ShortText | None = None
    idempotency_key: ShortText | None = None


NO_VALUES = Values()


class TemplatePage(BaseModel):
    """Templates by org and name; ``next`` is the cursor of the next page."""

    templates: list[Template]
    next: str | None = None


@router.get("", responses=documented(401, 404, 422))
def page(
    here: Here,
    caller: Caller,
    org_id: Text | None = None,
    q: PartOfName = "",
    limit: Limit = 100,
    cursor: After | None = None,
) -> TemplatePage:
    """Those that may be seen."""
    after = None if cursor is None else org_and_name(cursor)
    found = here.templates(caller).page(limit + 1, after, NameFilter(org_id, q))
    shown, more = page_of(found, limit, lambda one: (one.org_id, one.name))
    return TemplatePage(templates=shown, next=more)


def org_and_name(cursor: str) -> tuple[str, str]:
    """The org and the name behind which a page begins."""
    org, name = place_of(cursor, 2)
    return org, name


@router.get("/{name}", responses=documented(401, 404, 422))
def get(here: Here, caller: Caller, name: Name, org_id: Text | None = None) -> Template:
    """One, of one's own org unless another is named."""
    return here.templates(caller).get(name, org_id)


@router.put("/{name}", responses=documented(400, 401, 403, 413, 422))
def save(here: Here, caller: Caller, name: Name, body: SavedTemplate) -> Template:
    """Save it, over what has the name already."""
    return here.templates(caller).save(
        name, body.document, org_id=body.org_id, directory=body.directory
    )


@router.delete("/{name}", status_code=204, responses=documented(401, 403, 404, 409, 422))
def remove(here: Here, caller: Caller, name: Name, org_id: Text | None = None) -> None:
    """Forget it; what was run from it stays."""
    here.templates(caller).remove(name, org_id)


@router.post(
    "/{name}/run",
    status_code=202,
    responses=documented(400, 401, 403, 404, 409, 413, 422, 429),
)
def run(
    here: Here,
    caller: Caller,
    name: Name,
    body: Values = NO_VALUES,
    idempotency_key: IdempotencyKey = None,
) -> Batch:
    """Submit its jobs, with values for its parameters; without a body all have their defaults."""
    return here.templates(caller).run(
        name,
        body.parameters,
        org_id=body.org_id,
        idempotency_key=one_key(body.idempotency_key, idempotency_key),
    )
