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
from runyard.service.phrases import did_you_mean, quoted


def validated(fields: Mapping[str, object], where: str = "") -> JobSpec:
    """A spec from keyword arguments or JSON; the first fault as one sentence. Of several jobs,
    ``where`` says which it is."""
    if "matrix" in fields or "exclude" in fields:
        raise InvalidRequest(
            "a job with a matrix stands for many: submit_many and submit_batch take it"
        )
    try:
        return JobSpec.model_validate(dict(fields))
    except ValidationError as error:
        raise InvalidRequest(sentence(error, where)) from None


Draft = JobSpec | Mapping[str, Any]


def expanded(jobs: Iterable[Draft], matrix: Any = None, exclude: Any = None) -> Iterator[JobSpec]:
    """The specs of all the jobs that some stand for: those with a ``matrix``, with ``exclude``
    beside it, for many. The arguments are the matrix of jobs that have none.

    As long as no job has a matrix or depends on another, nothing is kept: an iterator may be long.
    """
    common = _matrix({"matrix": matrix, "exclude": exclude}, "")
    source = iter(jobs)
    for number, job in enumerate(source):
        if common or _may_belong_to_others(job):
            yield from _fanned_out([job, *source], common, number)
            return
        yield _spec(job, number)


def _spec(job: Draft, number: int) -> JobSpec:
    spec = job if isinstance(job, JobSpec) else validated(job, _called(job, number))
    if spec.idempotency_key is not None:
        raise InvalidRequest(
            f"{_called(job, number)}: an idempotency key belongs to a submission as a "
            "whole, not to one job of it"
        )
    return spec


def _called(job: Draft, number: int) -> str:
    """Which of several jobs one is, in a message."""
    name = job.name if isinstance(job, JobSpec) else job.get("name")
    return f"jobs[{number}]" + (f" ({quoted(name)})" if name and isinstance(name, str) else "")


def _may_belong_to_others(job: Draft) -> bool:
    if isinstance(job, JobSpec):
        return bool(job.depends_on)
    return not job.keys().isdisjoint(("matrix", "exclude", "depends_on"))


def _fanned_out(jobs: Sequence[Draft], common: Matrix | None, first: int) -> Iterable[JobSpec]:
    """The rest of the jobs, of which ``first`` have gone before."""
    pairs = [_with_matrix(job, common, number) for number, job in enumerate(jobs, first)]
    if not any(matrix for _, matrix in pairs):
        return (_spec(job, number) for number, (job, _) in enumerate(pairs, first))
    try:
        made = matrices.fan_out((_fields(job), matrix) for job, matrix in pairs)
    except Wrong as wrong:
        raise InvalidRequest(f"{spelled(wrong.place)}: {wrong}") from None
    return (_spec(fields, first + number) for number, fields in made)


def _with_matrix(job: Draft, common: Matrix | None, number: int) -> tuple[Draft, Matrix | None]:
    if isinstance(job, JobSpec) or job.keys().isdisjoint(("matrix", "exclude")):
        return job, common
    rest = {name: value for name, value in job.items() if name not in ("matrix", "exclude")}
    return rest, _matrix(job, f"{_called(job, number)}: ")


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


def sentence(error: ValidationError, where: str = "") -> str:
    """The first fault that pydantic found: where, and what is wrong."""
    fault = error.errors(include_url=False)[0]
    if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1:
        word = str(fault["loc"][0])
        hint = did_you_mean(word, JobSpec.model_fields)
        return ": ".join(filter(None, [where, f"unknown field {quoted(word)}{hint}"]))
    place = ".".join(filter(None, [where, *map(str, fault["loc"])]))
    text = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {text}" if place else text
