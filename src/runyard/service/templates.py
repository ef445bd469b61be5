"""Save templates and run them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runyard.domain import parameters as declarations
from runyard.domain.batch import Batch
from runyard.domain.job import JobSpec
from runyard.domain.listing import NameFilter
from runyard.domain.parameters import Value
from runyard.domain.placeholders import Wrong
from runyard.domain.template import LABEL, Template, checked_name
from runyard.domain.user import Actor
from runyard.errors import Conflict, Forbidden, InvalidJobFile, InvalidRequest, NotFound
from runyard.service import documents, jobfile
from runyard.service.documents import Document
from runyard.service.jobfile import FIELDS, PLAIN, Directories, JobFile
from runyard.service.jobs import Jobs
from runyard.service.phrases import quoted
from runyard.store import audit, templates, timetable
from runyard.store.database import Store, Tx
from runyard.store.templates import TemplateRow

MOST_BYTES = 1 << 20  # of a document, as JSON
_OF_THE_FILE = frozenset({"description", "parameters", "matrix", "exclude"})


class Templates:
    """The requests about templates, made by ``actor``, who is also whose jobs are submitted
    through ``jobs``. Names are unique within an org; the jobs of a template belong to its org.
    Everybody runs the templates of their org, and changes their own."""

    def __init__(self, store: Store, jobs: Jobs, actor: Actor) -> None:
        self._store = store
        self._jobs = jobs
        self._actor = actor

    def save(
        self,
        name: str,
        document: Any,
        *,
        org_id: str | None = None,
        directory: str | None = None,
        is_new: bool = False,
    ) -> Template:
        """Save a job file, or the fields of one job, under a name, over what has it already.

        Raises ``InvalidRequest`` for a document that could not be run whatever its parameters,
        ``Forbidden`` for the name of somebody else's, and ``Conflict`` for any that is taken if the
        template ``is_new``.
        """
        self._actor.require_change()
        org = org_to_change(self._actor, org_id, "template")
        checked_name(name, "template")
        whole = _whole(name, document)
        text = json.dumps(whole, ensure_ascii=False, allow_nan=False)
        if len(text) > MOST_BYTES:
            raise InvalidRequest(f"a template has at most {MOST_BYTES >> 20} MiB")
        _check(org, name, whole, directory)

        def work(tx: Tx) -> TemplateRow:
            if (before := templates.get(tx, org, name)) is not None:
                if is_new:
                    raise Conflict(f"there is a template {name!r} already: change that one")
                require_owner(self._actor, before.created_by)
            audit.note(tx, self._actor, "template.save", f"{org}/{name}")
            return templates.save(tx, org, name, text, directory, self._actor.name)

        return _template(self._store.write(work, repeatable=True))

    def get(self, name: str, org_id: str | None = None) -> Template:
        """The template of that name. Raises ``NotFound``."""
        with self._store.read() as tx:
            return template_of(tx, org_to_see(self._actor, org_id, "template", name), name)

    def page(
        self,
        limit: int = 100,
        after: tuple[str, str] | None = None,
        wanted: NameFilter | None = None,
    ) -> list[Template]:
        """Those that may be seen, by org and name, behind such a pair."""
        last = after or ("", "")
        with self._store.read() as tx:
            found = templates.some(tx, self._actor.sees, limit, last, wanted)
            return [_template(row) for row in found]

    def remove(self, name: str, org_id: str | None = None) -> None:
        """Forget a template; what was run from it stays. Raises ``NotFound``, and ``Conflict``
        while a schedule runs it."""
        self._actor.require_change()
        org = org_to_see(self._actor, org_id, "template", name)

        def work(tx: Tx) -> None:
            require_owner(self._actor, template_of(tx, org, name).created_by)
            if used_by := timetable.of_template(tx, org, name):
                raise Conflict(f"the schedule {used_by[0]!r} runs it: remove that first")
            templates.remove(tx, org, name)
            audit.note(tx, self._actor, "template.remove", f"{org}/{name}")

        self._store.write(work)

    def run(
        self,
        name: str,
        parameters: Mapping[str, Value],
        *,
        org_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Batch:
        """Submit a template's jobs, with values for its parameters."""
        found = rendered(self.get(name, org_id), texts(parameters))
        return self._jobs.submit_batch(
            found.specs,
            name=found.name,
            description=found.description,
            org_id=org_to_change(self._actor, org_id, "template"),
            idempotency_key=idempotency_key,
        )


def org_to_change(actor: Actor, wanted: str | None, what: str) -> str:
    """The org whose templates, or ``what`` has one, are meant. Raises ``Forbidden`` for another
    than one's own."""
    org = actor.org_id if wanted is None else wanted
    if actor.sees not in (None, org):
        raise Forbidden(f"you may change {what}s of the org {actor.org_id} only")
    return org


def org_to_see(actor: Actor, wanted: str | None, what: str, name: str) -> str:
    """The same for somebody who looks: what is another org's is not there."""
    org = actor.org_id if wanted is None else wanted
    if actor.sees not in (None, org):
        raise missing(what, name)
    return org


def template_of(tx: Tx, org_id: str, name: str) -> Template:
    """The template of that name. Raises ``NotFound``."""
    row = templates.get(tx, org_id, name)
    if row is None:
        raise missing("template", name)
    return _template(row)


def require_owner(actor: Actor, owner: str) -> None:
    """Raises ``Forbidden`` unless the actor may change what is ``owner``'s."""
    if not actor.may_change(owner):
        raise Forbidden(f"only {owner} or an admin may change this")


def missing(what: str, name: str) -> NotFound:
    """The error for a template, or what has one, that is not there."""
    return NotFound(f"there is no {what} {name[:100]!r}")


def texts(parameters: Mapping[str, Value]) -> dict[str, str]:
    """Values of parameters as text. Raises ``InvalidRequest``."""
    try:
        return declarations.texts(parameters)
    except Wrong as wrong:
        raise InvalidRequest(f"{documents.spelled(wrong.place)}: {wrong}") from None


def rendered(template: Template, parameters: Mapping[str, str]) -> JobFile:
    """The jobs that a template stands for with these values. Raises ``InvalidRequest``."""
    found = _parsed(template.name, template.document, template.directory, parameters)
    specs = [_of_org(spec, template) for spec in found.specs]
    return JobFile(found.name or template.name, specs, found.description)


def _of_org(spec: JobSpec, template: Template) -> JobSpec:
    if "org_id" in spec.model_fields_set and spec.org_id != template.org_id:
        raise InvalidRequest(
            f"the template {template.name!r} is of {template.org_id}, and its job "
            f"{quoted(spec.name)} of {quoted(spec.org_id)}: a job belongs to the org of its "
            "template"
        )
    labels = {LABEL: template.name, **spec.labels}
    return spec.model_copy(update={"org_id": template.org_id, "labels": labels})


def _parsed(
    name: str, document: Mapping[str, Any], directory: str | None, parameters: Mapping[str, str]
) -> JobFile:
    place = None if directory is None else Path(directory)
    what = Document(f"template {name}", document)
    return jobfile.parse(what, Directories(place, place), parameters)


def _check(org_id: str, name: str, document: dict[str, Any], directory: str | None) -> None:
    """Refuse what could not be run. With a parameter that has no default, it depends on the value,
    and of the values only the names are known."""
    try:
        declared = declarations.read(document.get("parameters"))
    except Wrong as wrong:
        raise InvalidJobFile(f"{documents.spelled(wrong.place)}: {wrong}") from None
    if all(parameter.default is not None for parameter in declared.values()):
        draft = Template(org_id=org_id, name=name, document=document, directory=directory)
        rendered(draft, {})
    else:
        jobfile.check_shape(Document(f"template {name}", document))


def _whole(name: str, given: Any) -> dict[str, Any]:
    """A document as a job file; the fields of one job make a file of one task."""
    document = documents.plain(f"template {name}", given)
    if not isinstance(document, dict):
        raise InvalidJobFile(f"template {name}: it is a job file, or the fields of one job")
    if not {"command", "arguments"} & document.keys():
        return document
    own = FIELDS | PLAIN.keys()
    job = {key: value for key, value in document.items() if key in own}
    rest = {key: value for key, value in document.items() if key not in own}
    for key in rest:
        if key not in _OF_THE_FILE:
            raise InvalidRequest(f"template {name}: unknown field {quoted(key)}")
    return {**rest, "tasks": [{"name": name, **job}]}


def _template(row: TemplateRow) -> Template:
    document = json.loads(row.document)
    return Template(
        org_id=row.org_id,
        name=row.name,
        description=str(document.get("description") or ""),
        parameters=list(declarations.read(document.get("parameters")).values()),
        document=document,
        directory=row.directory,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_by=row.updated_by,
        updated_at=row.updated_at,
    )
