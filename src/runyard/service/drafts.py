"""What users submit, as specs: checked, and fanned out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from runyard.domain import matrix as matrices
from runyard.domain.job import JobSpec, canonical
from runyard.domain.matrix import Matrix
from runyard.domain.placeholders import Wrong
from runyard.errors import InvalidRequest
from runyard.service.documents import spelled


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
