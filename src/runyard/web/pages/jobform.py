"""The form that submits jobs: its fields as those of a job, and what is wrong with them.

The fields have the names that they have in the API, and hold what stands behind an option of the
command line. What is wrong is said by field, so that it can stand beside it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from runyard.domain import written
from runyard.domain.job import JobSpec, Kind
from runyard.domain.matrix import Matrix
from runyard.domain.placeholders import Wrong
from runyard.service.documents import spelled
from runyard.web.pages import repeat

MATRIX = ("matrix", "exclude")  # of fields that are not a job's own
KINDS = {
    Kind.SHELL: "a line for the shell, or a script",
    Kind.PYTHON: "Python code",
    Kind.TEST: "a test spec, for its target's runner",
}


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _pairs(text: str) -> dict[str, str | None]:
    return dict(map(written.pair, _lines(text)))


def _labels(text: str) -> dict[str, str]:
    found = (written.pair(line, bare=True) for line in _lines(text))
    return {key.strip(): (value or "").strip() for key, value in found}


def _matrix(text: str) -> dict[str, list[str]]:
    return dict(map(written.axis, _lines(text)))


def _exclude(text: str) -> list[dict[str, str]]:
    return [written.combination(line) for line in _lines(text)]


def _instant(text: str) -> float | str:
    """An instant, or how long from now."""
    try:
        return time.time() + written.seconds(text)
    except ValueError:
        return text


def _json(text: str) -> Any:
    try:
        return written.json_value(text)
    except ValueError as error:
        raise ValueError(f"the payload {error}") from None


def _same(text: str) -> str:
    return text


# In the order of the form.
READ: dict[str, Callable[[str], Any]] = {
    "name": _same,
    "target": _same,
    "app_version_id": _same,
    "cwd": _same,
    "env": _pairs,
    "labels": _labels,
    "matrix": _matrix,
    "exclude": _exclude,
    "depends_on": _words,
    "run_after": _instant,
    "priority": _same,
    "timeout": written.seconds,
    "silent_timeout": written.seconds,
    "max_attempts": _same,
    "retry_on": _words,
    "retry_delay": written.seconds,
    "limit_key": _same,
    "limit": _same,
    "org_id": _same,
    "payload": _json,
}
FIELDS = ("command", "kind", *READ)
# Of what a job was: its variables are never shown, and what it waited for is long over.
SHOWN = frozenset(READ) - {"env", "depends_on", "run_after", *MATRIX}


@dataclass(frozen=True, slots=True)
class Filled:
    """A form that was filled in: the fields of a job, and by field what is wrong; what is wrong
    with none in particular is under ""."""

    fields: dict[str, Any]
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def is_many(self) -> bool:
        """Whether it stands for many jobs, even if these turn out to be one."""
        return not self.fields.keys().isdisjoint(MATRIX)


def read(values: Mapping[str, str]) -> Filled:
    """What was filled in, but the command."""
    found = Filled({})
    for name, reader in READ.items():
        if not values[name].strip():
            continue
        try:
            found.fields[name] = reader(values[name].strip())
        except ValueError as error:
            found.faults[name] = str(error)
    return found


def check(filled: Filled) -> None:
    """Add what is wrong with a form whose command is known by now."""
    spec = {name: value for name, value in filled.fields.items() if name not in MATRIX}
    try:
        JobSpec.model_validate(spec)
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            steps = [str(step) for step in fault["loc"] if step != "[key]"]
            text = fault["msg"].removeprefix("Value error, ")
            said = ": ".join(filter(None, [".".join(steps[1:]), text]))
            filled.faults.setdefault(steps[0] if steps else "", said)
    if not filled.faults.keys().isdisjoint(MATRIX):
        return
    try:
        Matrix.read(filled.fields.get("matrix"), filled.fields.get("exclude"))
    except Wrong as wrong:
        name, *rest = wrong.place or ("matrix",)
        is_of_axis = bool(rest) and isinstance(rest[0], str)
        said = f"{spelled(tuple(rest))}: {wrong}" if is_of_axis else str(wrong)
        filled.faults.setdefault(str(name), said)


def of_job(asked: JobSpec) -> dict[str, str]:
    """The form filled in with what a job was, but for what its variables hold."""
    given = asked.model_dump(include=set(SHOWN), exclude_defaults=True)
    if "payload" in given:
        given["payload"] = json.dumps(given["payload"], indent=2, ensure_ascii=False)
    kind = Kind.SHELL if asked.kind is Kind.COMMAND else asked.kind
    values = {name: _written(value) for name, value in given.items()}
    return {"command": repeat.command(asked), "kind": kind, **values}


def _written(value: Any) -> str:
    if isinstance(value, float):
        return repeat.written(value)
    if isinstance(value, Mapping):
        return "\n".join(f"{key}={text}" if text else key for key, text in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(map(str, value))
    return str(value)
