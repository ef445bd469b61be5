"""A job file: tasks with dependencies, as JSON, TOML or YAML, made into the specs of one batch.

The plain form is ``{"tasks": [{name, type: exec|eval, arguments, dependencies}]}``. In the full
form a task has the fields of ``JobSpec``; both may be mixed, even within a task. A task may have a
``matrix``, as may the file, for all tasks that have none. A file may have ``parameters``, to be
filled in. Every fault is one sentence that says which file, where in it, and what is wrong.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from runyard.domain import parameters as declarations
from runyard.domain.batch import LONGEST_DESCRIPTION, LONGEST_NAME
from runyard.domain.job import ALIASES, JobSpec, Kind
from runyard.domain.matrix import Matrix, fan_out
from runyard.domain.placeholders import Values, Wrong, filled
from runyard.errors import InvalidGraph, InvalidJobFile
from runyard.service import documents, jobgraph, jsonschemas
from runyard.service.documents import Document, Fault, Place, invalid, one_line, spelled
from runyard.service.phrases import did_you_mean, near, quoted, short

# What the plain form, or somebody used to other words, calls a field of a spec.
PLAIN = {"type": "kind", "arguments": "command", "dependencies": "depends_on", **ALIASES}
# A key of idempotency belongs to a submission, and a file is submitted as a whole.
FIELDS = frozenset(JobSpec.model_fields) - {"idempotency_key"}
OWN_FIELDS = frozenset({"name", "command", "depends_on"})  # have no default
MATRIX_KEYS = frozenset({"matrix", "exclude"})
TOP_KEYS = MATRIX_KEYS | {
    "name",
    "description",
    "parameters",
    "defaults",
    "tasks",
    "jobs",
    "$schema",
}


@dataclass(frozen=True, slots=True)
class JobFile:
    """What a file asks for, in its order; name and description may be empty."""

    name: str
    specs: list[JobSpec]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Directories:
    """Where relative working directories start from, and where tasks run that name none; None
    leaves it to the worker."""

    file: Path | None = None
    current: Path | None = None

    def of(self, given: str | None) -> str | None:
        """The working directory of a task."""
        if given is None:
            return None if self.current is None else str(self.current)
        return given if self.file is None else os.path.normpath(self.file / given)


def load(
    path: str,
    schema: str | None = None,
    stdin: BinaryIO | None = None,
    parameters: Values | None = None,
) -> JobFile:
    """The job file at ``path`` (``-``: standard input), checked against the JSON schema in the
    file ``schema`` if there is one. It is named after the file if it does not say.

    Raises ``InvalidJobFile`` and ``InvalidGraph``.
    """
    document = documents.read(path, stdin)
    if schema is not None:
        jsonschemas.check(document, documents.read(schema, stdin))
    here = Directories(documents.directory_of(path), documents.directory_of(documents.STDIN))
    found = parse(document, here, parameters)
    name = "" if path == documents.STDIN else one_line(Path(path).stem)
    return found if found.name else replace(found, name=name[:LONGEST_NAME])


def parse(
    document: Document, directories: Directories, parameters: Values | None = None
) -> JobFile:
    """The job file that a document describes, with the values of its parameters filled in."""
    try:
        return _job_file(document.value, directories, parameters or {})
    except Fault as fault:
        raise invalid(document.label, str(fault)) from None
    except InvalidGraph as error:
        raise InvalidGraph(f"{document.label}: {one_line(str(error))}") from None


def check_shape(document: Document) -> None:
    """Refuse what cannot be a job file whatever is filled in for its parameters."""
    try:
        top = document.value
        word, tasks = _tasks(top)
        _Fields.of_defaults(top.get("defaults"))
        for number, task in enumerate(tasks):
            _Fields.read((word, number), task)
    except Fault as fault:
        raise invalid(document.label, str(fault)) from None


def _tasks(top: Any) -> tuple[str, list[Any]]:
    """Under which word the tasks stand, and they."""
    if not isinstance(top, dict):
        raise Fault(f'the top level must be an object with "tasks", not {_what(top)}')
    word = _tasks_key(top)
    tasks = top[word]
    if not isinstance(tasks, list):
        raise _wrong((word,), "a list", tasks)
    _check_keys((), top, TOP_KEYS)
    return word, tasks


def _job_file(top: Any, directories: Directories, given: Values) -> JobFile:
    word, tasks = _tasks(top)
    defaults = _Fields.of_defaults(top.get("defaults"))
    values = _values(top.get("parameters"), given)
    common = _matrix((), top, values)
    drafts = [_draft((word, n), task, defaults, common, values) for n, task in enumerate(tasks)]
    made, origins = _made(drafts, values)
    specs = [_spec(drafts[n], one, directories) for n, one in zip(origins, made, strict=True)]
    jobgraph.check(specs, [f"{word}[{n}]" for n in origins])
    name = _text(filled(top.get("name"), values), "name", LONGEST_NAME)
    about = _text(filled(top.get("description"), values), "description", LONGEST_DESCRIPTION)
    return JobFile(name, specs, about)


def _values(declared: Any, given: Values) -> Values:
    """What is filled in for the parameters of a file."""
    try:
        return declarations.values(declarations.read(declared), given)
    except Wrong as wrong:
        raise Fault(f"{spelled(wrong.place)}: {wrong}" if wrong.place else str(wrong)) from None


def _text(given: Any, word: str, longest: int) -> str:
    """A text about a batch, or "" for None; ``word`` is what gives it."""
    if given is None:
        return ""
    if not isinstance(given, str):
        raise _wrong((word,), "text", given)
    if len(given) > longest or "\0" in given or not documents.is_unicode(given):
        raise Fault(f"{word}: must be at most {longest} characters of Unicode without NUL")
    return given


def _tasks_key(top: Mapping[str, Any]) -> str:
    if "tasks" in top and "jobs" in top:
        raise Fault('"tasks" and "jobs" mean the same: give one of them')
    for word in ("tasks", "jobs"):
        if word in top:
            return word
    found = near("tasks", [key for key in top if key not in TOP_KEYS])
    raise Fault('there is no "tasks"' + (f" (but {found!r})" if found else ""))


# One task.


@dataclass(frozen=True, slots=True)
class _Fields:
    """Fields of a spec, and where in the file they stand."""

    values: Mapping[str, Any]
    places: Mapping[str, Place]

    @classmethod
    def of_defaults(cls, given: Any) -> _Fields:
        """The file's ``defaults``."""
        found = cls.read(("defaults",), {} if given is None else given)
        for field in OWN_FIELDS & found.values.keys():
            raise Fault(f"{spelled(found.places[field])}: each task has its own")
        return found

    @classmethod
    def read(cls, place: Place, given: Any) -> _Fields:
        """What stands at ``place``: both spellings understood, types checked where pydantic would
        say it worse or be too kind."""
        if not isinstance(given, dict):
            raise _wrong(place, "an object", given)
        matrix_keys = MATRIX_KEYS if place[0] != "defaults" else frozenset()
        _check_keys(_called(place, given), given, FIELDS | PLAIN.keys() | matrix_keys)
        for plain, field in PLAIN.items():
            if plain in given and field in given:
                raise Fault(f"{spelled(place)}: {plain!r} and {field!r} mean the same: give one")
        task = {key: value for key, value in given.items() if key not in MATRIX_KEYS}
        for key, value in task.items():
            _check_type((*place, key), PLAIN.get(key, key), value)
        values = {PLAIN.get(key, key): value for key, value in task.items()}
        return cls(values, {PLAIN.get(key, key): (*place, key) for key in task})

    def over(self, defaults: _Fields) -> _Fields:
        """These fields, with defaults for what they leave open; null takes a default back."""
        values = {**defaults.values, **self.values}
        for field in ("env", "labels"):
            if values.get(field) is not None:
                values[field] = {**(defaults.values.get(field) or {}), **values[field]}
        given = {k: v for k, v in values.items() if v is not None or k == "payload"}
        return _Fields(given, {**defaults.places, **self.places})


@dataclass(frozen=True, slots=True)
class _Draft:
    """A task on its way to the spec, or to the several, that it stands for."""

    place: Place
    fields: _Fields
    matrix: Matrix | None


def _draft(
    place: Place,
    task: Any,
    defaults: _Fields,
    common: Matrix | None,
    parameters: Values,
) -> _Draft:
    own = _Fields.read(place, task)
    fields = own.over(defaults)
    values = dict(fields.values)
    if not str(values.get("name", "")).strip():
        raise Fault(f"{spelled(place)}: has no name")
    if "command" not in values:
        word = "arguments" if own.places.get("kind", place)[-1] == "type" else "command"
        raise Fault(f"{_called(place, values)}: has no {word}")
    values |= _kind(values.get("kind"), values["command"])
    matrix = _matrix(place, task, parameters) if MATRIX_KEYS & task.keys() else common
    return _Draft(place, _Fields(values, fields.places), matrix)


def _matrix(place: Place, given: Mapping[str, Any], parameters: Values) -> Matrix | None:
    """The matrix of a task, or of the file."""
    matrix, exclude = (filled(given.get(key), parameters) for key in ("matrix", "exclude"))
    if isinstance(matrix, dict) and (both := sorted(matrix.keys() & parameters.keys())):
        raise Fault(f"{spelled((*place, 'matrix'))}: {quoted(both[0])} is a parameter already")
    try:
        return Matrix.read(matrix, exclude)
    except Wrong as wrong:
        raise Fault(f"{spelled((*place, *wrong.place))}: {wrong}") from None


def _made(
    drafts: Sequence[_Draft], parameters: Values
) -> tuple[list[Mapping[str, Any]], list[int]]:
    """The fields of what the tasks stand for, and the number of the task that each was made of."""
    if not parameters and not any(draft.matrix for draft in drafts):
        return [draft.fields.values for draft in drafts], [*range(len(drafts))]
    try:
        made = fan_out(((draft.fields.values, draft.matrix) for draft in drafts), parameters)
    except Wrong as wrong:
        raise Fault(f"{spelled(wrong.place)}: {wrong}") from None
    return [values for _, values in made], [n for n, _ in made]


def _spec(draft: _Draft, values: Mapping[str, Any], directories: Directories) -> JobSpec:
    try:
        return JobSpec.model_validate({**values, "cwd": directories.of(values.get("cwd"))})
    except ValidationError as error:
        raise _translated(error, draft.place, draft.fields.places) from None


def _kind(word: str | None, command: str | list[str]) -> dict[str, Any]:
    """The kind that a task's ``type`` or ``kind`` means; none, and the spec infers it."""
    if word is None:
        return {}
    if word == "exec":
        return {"kind": Kind.SHELL if isinstance(command, str) else Kind.COMMAND}
    return {"kind": Kind.PYTHON if word == "eval" else Kind(word)}


def _translated(error: ValidationError, place: Place, places: Mapping[str, Place]) -> Fault:
    """The first fault that pydantic found, in the file's own words."""
    fault = error.errors(include_url=False)[0]
    text = fault["msg"].removeprefix("Value error, ")
    loc = [step for step in fault["loc"] if step != "[key]"]
    if loc:
        place = (*places.get(str(loc[0]), (*place, loc[0])), *loc[1:])
    return Fault(f"{spelled(place)}: {text[:1].lower()}{text[1:]}")


# Types.

_CHOICES = {"type": ("exec", "eval"), "kind": tuple(kind.value for kind in Kind)}


def _check_type(place: Place, field: str, value: Any) -> None:
    if value is None or field == "payload":
        return
    if field in ("name", "cwd"):
        _check_text(place, value)
    elif field == "kind":
        _check_choice(place, value)
    elif field == "command":
        _check_command(place, value)
    elif field == "depends_on":
        _check_texts(place, value, "a list of names")
    elif field in ("env", "labels"):
        _check_table(place, value)
    elif isinstance(value, bool):  # pydantic takes true for 1
        raise Fault(f"{spelled(place)}: must not be a truth value")


def _check_command(place: Place, value: Any) -> None:
    if not isinstance(value, str):
        _check_texts(place, value, "text or a list of arguments")


def _check_choice(place: Place, value: Any) -> None:
    choices = _CHOICES[str(place[-1])]
    if value not in choices:
        given = repr(value) if isinstance(value, str) else _what(value)
        raise Fault(f"{spelled(place)}: must be {' or '.join(choices)}, not {short(given)}")


def _check_text(place: Place, value: Any) -> None:
    if not isinstance(value, str):
        raise _wrong(place, "text", value)


def _check_texts(place: Place, value: Any, wanted: str) -> None:
    if not isinstance(value, list):
        raise _wrong(place, wanted, value)
    for index, item in enumerate(value):
        _check_text((*place, index), item)


def _check_table(place: Place, value: Any) -> None:
    if not isinstance(value, dict):
        raise _wrong(place, "an object of texts", value)
    for key, item in value.items():
        _check_text((*place, key), item)


def _wrong(place: Place, wanted: str, value: Any) -> Fault:
    hint = ": put it into quotes" if wanted == "text" and isinstance(value, int | float) else ""
    return Fault(f"{spelled(place)}: must be {wanted}, not {_what(value)}{hint}")


def _what(value: Any) -> str:
    if value is None:
        return "null"
    words = {dict: "an object", list: "a list", str: "text", bool: "a truth value"}
    return words.get(type(value), "a number")


# Names.


def _check_keys(place: Place | str, given: Mapping[str, Any], known: frozenset[str]) -> None:
    """Refuse a key that means nothing. At the top, ``x-…`` may hold what YAML anchors name."""
    for key in given:
        if key not in known and not (place == () and key.startswith("x-")):
            where = place if isinstance(place, str) else spelled(place)
            raise Fault(f"{where}: unknown field {quoted(key)}{did_you_mean(key, known)}")


def _called(place: Place, task: Mapping[str, Any]) -> str:
    """A task's place with its name, if it has one."""
    name = task.get("name")
    return f"{spelled(place)} ({quoted(name)})" if isinstance(name, str) else spelled(place)


def named(found: JobFile, name: str | None) -> JobFile:
    """The same file, with another name if one is given."""
    if name is None:
        return found
    try:
        return replace(found, name=_text(name, "--name", LONGEST_NAME))
    except Fault as fault:
        raise InvalidJobFile(str(fault)) from None
