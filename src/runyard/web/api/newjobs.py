"""The jobs of a body: one, or several, or one that stands for several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import (
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from runyard.domain.batch import MOST_TOGETHER
from runyard.domain.job import JobSpec, ShortText
from runyard.service.drafts import Draft


def _later(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    return value if isinstance(value, dict) else check(value)


Result = TypeVar("Result")
_KEY: TypeAdapter[str | None] = TypeAdapter(ShortText | None)


class NewJob(JobSpec):
    """A job. With a ``matrix`` it stands for one job for each combination of values, with
    ``{axis}`` filled in, but for those that ``exclude`` names."""

    matrix: dict[str, list[Any]] | None = None
    exclude: list[dict[str, Any]] | None = None


# To be checked by the endpoint, in its thread: what is checked before keeps all others waiting.
Spec = Annotated[NewJob, WrapValidator(_later)]
SpecList = Annotated[list[Spec], Field(min_length=1, max_length=MOST_TOGETHER)]


def _is_many(spec: Mapping[str, Any]) -> bool:
    """Whether it stands for many, even if these turn out to be one."""
    return spec.get("matrix") is not None or spec.get("exclude") is not None


def _draft(spec: Any, *where: int) -> Draft:
    """Checked, unless it can be only when its values are filled in."""
    return spec if _is_many(spec) else checked(spec, *where)


def checked(spec: Any, *where: int) -> JobSpec:
    """A job of a body that stands for one. Raises ``RequestValidationError``."""
    fields = {name: value for name, value in spec.items() if name not in ("matrix", "exclude")}
    return _refusing(JobSpec.model_validate, fields, *where)


def _refusing(check: Callable[[Any], Result], value: Any, *where: int | str) -> Result:
    """As FastAPI would, had it checked."""
    try:
        return check(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise RequestValidationError(
            [{**fault, "loc": ("body", *where, *fault["loc"])} for fault in faults]
        ) from None


def _one_or_many(body: object) -> str:
    return "many" if isinstance(body, list) else "one"


# Told apart first, so that a fault of one is not also one of the other.
OneOrMany = Annotated[
    Annotated[Spec, Tag("one")] | Annotated[SpecList, Tag("many")], Discriminator(_one_or_many)
]


def many_of(body: Any) -> tuple[list[Draft], str | None] | None:
    """The jobs of a submission and its key, which of a single one is in the body; None of one that
    is one job."""
    if isinstance(body, list):
        return [_draft(one, number) for number, one in enumerate(body)], None
    if not _is_many(body):
        return None
    key = _refusing(_KEY.validate_python, body.get("idempotency_key"), "idempotency_key")
    return [{name: value for name, value in body.items() if name != "idempotency_key"}], key
