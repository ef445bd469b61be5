"""Turn what a user submits into rows: names into a graph, specs into JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from runyard.domain import graph
from runyard.domain import matrix as matrices
from runyard.domain.ids import job_ids
from runyard.domain.job import JobSpec, canonical
from runyard.domain.matrix import Matrix
from runyard.domain.placeholders import Wrong
from runyard.errors import InvalidRequest
from runyard.policy.estimate import or_unknown
from runyard.service.documents import spelled
from runyard.store.durations import Key
from runyard.store.submit import IdempotencyKey, NewJob


def validated(fields: Mapping[str, object]) -> JobSpec:
    """A spec from keyword arguments or JSON; the first fault as one sentence."""
    if "matrix" in fields or "exclude" in fields:
        raise InvalidRequest("a job with a matrix stands for many: submit it as a batch")
    try:
        return JobSpec.model_validate(dict(fields))
    except ValidationError as error:
        raise InvalidRequest(sentence(error)) from None


Draft = JobSpec | Mapping[str, Any]


def expanded(jobs: Iterable[Draft], matrix: Any = None, exclude: Any = None) -> Iterator[JobSpec]:
    """The specs of all the jobs that some stand for: those with a ``matrix``, with ``exclude``
    beside it, for many. The arguments are the matrix of jobs that have none.

    As long as no job has a matrix or depends on another, nothing is kept: an iterator may be long.
    """
    common = _matrix({"matrix": matrix, "exclude": exclude}, "")
    source = iter(jobs)
    for job in source:
        if common or _may_belong_to_others(job):
            yield from _fanned_out([job, *source], common)
            return
        yield job if isinstance(job, JobSpec) else validated(job)


def _may_belong_to_others(job: Draft) -> bool:
    if isinstance(job, JobSpec):
        return bool(job.depends_on)
    return not job.keys().isdisjoint(("matrix", "exclude", "depends_on"))


def _fanned_out(jobs: Sequence[Draft], common: Matrix | None) -> Iterable[JobSpec]:
    pairs = [_with_matrix(job, common, number) for number, job in enumerate(jobs)]
    if not any(matrix for _, matrix in pairs):
        return (job if isinstance(job, JobSpec) else validated(job) for job, _ in pairs)
    try:
        made = matrices.fan_out((_fields(job), matrix) for job, matrix in pairs)
    except Wrong as wrong:
        raise InvalidRequest(f"{spelled(wrong.place)}: {wrong}") from None
    return (validated(fields) for _, fields in made)


def _with_matrix(job: Draft, common: Matrix | None, number: int) -> tuple[Draft, Matrix | None]:
    if isinstance(job, JobSpec) or job.keys().isdisjoint(("matrix", "exclude")):
        return job, common
    rest = {name: value for name, value in job.items() if name not in ("matrix", "exclude")}
    name = job.get("name")
    return rest, _matrix(job, f"job {name!r}: " if name else f"jobs[{number}]: ")


def _matrix(given: Mapping[str, Any], where: str) -> Matrix | None:
    try:
        return Matrix.read(given.get("matrix"), given.get("exclude"))
    except Wrong as wrong:
        raise InvalidRequest(f"{where}{spelled(wrong.place)}: {wrong}") from None


def _fields(job: Draft) -> Mapping[str, Any]:
    if isinstance(job, JobSpec):
        return job.model_dump(exclude_unset=True)
    try:
        return canonical(job)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def sentence(error: ValidationError) -> str:
    """The first fault that pydantic found: where, and what is wrong."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    text = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text


def prepare(
    specs: Iterable[JobSpec],
    user: str = "",
    expected: Callable[[Iterable[Key]], Mapping[Key, float]] = lambda _: {},
) -> list[NewJob]:
    """Rows for a submission by ``user``. ``depends_on`` means a job of the same submission if one
    has that name, else the id of an existing job; ``expected`` knows what jobs used to take."""
    rows: list[NewJob] = []
    wanted: dict[int, list[str]] = {}
    for index, spec in enumerate(specs):
        rows.append(_row(spec, user))
        if spec.depends_on:
            wanted[index] = spec.depends_on
    names = [row.name for row in rows]
    graph.check_names(names)
    known = expected({(row.target, row.history_key) for row in rows})
    for row, fresh in zip(rows, job_ids(len(rows)), strict=True):
        row.id = fresh
        row.expected = known.get((row.target, row.history_key))
        row.bottom_level = or_unknown(row.expected)
    if wanted:
        _link(rows, names, wanted)
    return rows


def key_for(rows: Sequence[NewJob], key: str | None) -> IdempotencyKey | None:
    """The idempotency key of a submission with a digest of what was submitted."""
    if key is None:
        return None
    digest = hashlib.sha256("\n".join(row.spec for row in rows).encode()).hexdigest()
    return IdempotencyKey(rows[0].org_id if rows else "", key, digest)


def _row(spec: JobSpec, user: str) -> NewJob:
    return NewJob(
        id="",
        name=spec.name,
        spec=spec.model_dump_json(exclude_defaults=True, exclude={"depends_on"}),
        org_id=spec.org_id,
        target=spec.target,
        app_version_id=spec.app_version_id,
        priority=spec.priority,
        run_after=spec.run_after,
        submitted_by=user,
        limit_key=spec.limit_key or "",
        limit=spec.limit,
        labels=spec.labels,
        history_key=spec.history_key,
    )


def _link(rows: list[NewJob], names: Sequence[str], wanted: Mapping[int, list[str]]) -> None:
    index = {name: position for position, name in enumerate(names) if name}
    needs = {
        child: [index[parent] for parent in parents if parent in index]
        for child, parents in wanted.items()
    }
    try:
        levels = graph.bottom_levels(needs, lambda row: rows[row].bottom_level)
    except graph.CycleFound as cycle:
        raise graph.describe_cycle(cycle, names) from None
    for position in set(levels) | set(wanted):
        row = rows[position]
        row.needs = needs.get(position, ())
        row.needs_ids = [p for p in wanted.get(position, ()) if p not in index]
        row.bottom_level = levels.get(position, row.bottom_level)
