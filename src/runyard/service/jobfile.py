"""A job file: tasks with dependencies, as JSON, TOML or YAML, made into the specs of one batch.

The plain form is ``{"tasks": [{name, type: exec|eval, arguments, dependencies}]}``. In the full
form a task has the fields of ``JobSpec``; both may be mixed, even within a task. A task may have a
``matrix``, as may the file, for all tasks that have none. Every fault is one sentence that says
which file, where in it, and what is wrong.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from runyard.domain import graph
from runyard.domain.ids import ALPHABET, LENGTH
from runyard.domain.job import ALIASES, JobSpec, Kind
from runyard.domain.matrix import Matrix, Wrong, fan_out
from runyard.errors import InvalidGraph, InvalidJobFile
from runyard.service import documents, jsonschemas
from runyard.service.documents import Document, Fault, Place, invalid, one_line, spelled

# What the plain form, or somebody used to other words, calls a field of a spec.
PLAIN = {"type": "kind", "arguments": "command", "dependencies": "depends_on", **ALIASES}
# A key of idempotency belongs to a submission, and a file is submitted as a whole.
FIELDS = frozenset(JobSpec.model_fields) - {"idempotency_key"}
OWN_FIELDS = frozenset({"name", "command", "depends_on"})  # have no default
MATRIX_KEYS = frozenset({"matrix", "exclude"})
TOP_KEYS = MATRIX_KEYS | {"name", "defaults", "tasks", "jobs", "description", "$schema"}

_JOB_ID = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")


@dataclass(frozen=True, slots=True)
class JobFile:
    """What a file asks for, in its order; ``name`` may be empty."""

    name: str
    specs: list[JobSpec]


def load(path: str, schema: str | None = None, stdin: BinaryIO | None = None) -> JobFile:
    """The job file at ``path`` (``-``: standard input), checked against the JSON schema in the
    file ``schema`` if there is one. It is named after the file if it does not say.

    Raises ``InvalidJobFile`` and ``InvalidGraph``.
    """
    document = documents.read(path, stdin)
    if schema is not None:
        jsonschemas.check(document, documents.read(schema, stdin))
    found = parse(document, documents.directory_of(path))
    name = "" if path == documents.STDIN else one_line(Path(path).stem)
    return found if found.name else replace(found, name=name[:300])


def parse(document: Document, directory: Path) -> JobFile:
    """The job file that a document describes; relative working directories start from
    ``directory``."""
    try:
        return _job_file(document.value, directory)
    except Fault as fault:
        raise invalid(document.label, str(fault)) from None
    except InvalidGraph as error:
        raise InvalidGraph(f"{document.label}: {one_line(str(error))}") from None


def _job_file(top: Any, directory: Path) -> JobFile:
    if not isinstance(top, dict):
        raise Fault(f'the top level must be an object with "tasks", not {_what(top)}')
    word = _tasks_key(top)
    tasks = top[word]
    if not isinstance(tasks, list):
        raise _wrong((word,), "a list", tasks)
    _check_keys((), top, TOP_KEYS)
    defaults = _Fields.of_defaults(top.get("defaults"))
    here = _Directories(directory, documents.directory_of(documents.STDIN))
    common = _matrix((), top)
    drafts = [_draft((word, n), task, defaults, here, common) for n, task in enumerate(tasks)]
    specs, origins = _specs(drafts)
    _check_graph(specs, [f"{word}[{n}]" for n in origins])
    return JobFile(batch_name(top.get("name"), "name"), specs)


def batch_name(name: Any, word: str) -> str:
    """A name for a batch, or "" for None; ``word`` is what gives it."""
    if name is None:
        return ""
    if not isinstance(name, str):
        raise _wrong((word,), "text", name)
    if len(name) > 300 or "\0" in name or not documents.is_unicode(name):
        raise Fault(f"{word}: must be at most 300 characters of Unicode without NUL")
    return name


def _tasks_key(top: Mapping[str, Any]) -> str:
    if "tasks" in top and "jobs" in top:
        raise Fault('"tasks" and "jobs" mean the same: give one of them')
    for word in ("tasks", "jobs"):
        if word in top:
            return word
    near = _near("tasks", [key for key in top if key not in TOP_KEYS])
    raise Fault('there is no "tasks"' + (f" (but {near!r})" if near else ""))


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
class _Directories:
    """Where tasks run that say little or nothing about it."""

    file: Path
    current: Path

    def of(self, given: str | None) -> str:
        """An absolute working directory."""
        return os.path.normpath(self.file / given) if given is not None else str(self.current)


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
    directories: _Directories,
    common: Matrix | None,
) -> _Draft:
    own = _Fields.read(place, task)
    fields = own.over(defaults)
    values = dict(fields.values)
    if not str(values.get("name", "")).strip():
        raise Fault(f"{spelled(place)}: has no name")
    if "command" not in values:
        word = "arguments" if own.places.get("kind", place)[-1] == "type" else "command"
        raise Fault(f"{_called(place, values)}: has no {word}")
    values["cwd"] = directories.of(values.get("cwd"))
    values |= _kind(values.get("kind"), values["command"])
    matrix = _matrix(place, task) if MATRIX_KEYS & task.keys() else common
    return _Draft(place, _Fields(values, fields.places), matrix)


def _matrix(place: Place, given: Mapping[str, Any]) -> Matrix | None:
    """The matrix of a task, or of the file."""
    try:
        return Matrix.read(given.get("matrix"), given.get("exclude"))
    except Wrong as wrong:
        raise Fault(f"{spelled((*place, *wrong.place))}: {wrong}") from None


def _specs(drafts: Sequence[_Draft]) -> tuple[list[JobSpec], list[int]]:
    """What the tasks stand for, and the number of the task that each was made from."""
    if not any(draft.matrix for draft in drafts):
        return [_spec(draft, draft.fields.values) for draft in drafts], [*range(len(drafts))]
    try:
        made = fan_out((draft.fields.values, draft.matrix) for draft in drafts)
    except Wrong as wrong:
        raise Fault(f"{spelled(wrong.place)}: {wrong}") from None
    return [_spec(drafts[n], values) for n, values in made], [n for n, _ in made]


def _spec(draft: _Draft, values: Mapping[str, Any]) -> JobSpec:
    try:
        return JobSpec.model_validate(values)
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
        raise Fault(f"{spelled(place)}: must be {' or '.join(choices)}, not {_short(given)}")


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
            raise Fault(f"{where}: unknown field {_quoted(key)}{_did_you_mean(key, known)}")


def _called(place: Place, task: Mapping[str, Any]) -> str:
    """A task's place with its name, if it has one."""
    name = task.get("name")
    return f"{spelled(place)} ({_quoted(name)})" if isinstance(name, str) else spelled(place)


def _did_you_mean(word: str, known: Sequence[str] | frozenset[str]) -> str:
    near = _near(word, sorted(known))
    return f": did you mean {_quoted(near)}?" if near else ""


def _near(word: str, known: Sequence[str]) -> str | None:
    found = get_close_matches(word[:300], known, n=1)
    return found[0] if found else None


def _quoted(name: str) -> str:
    return repr(_short(name))


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


# The graph.


def _check_graph(specs: Sequence[JobSpec], places: Sequence[str]) -> None:
    """Refuse what is no directed acyclic graph of unique names."""
    index: dict[str, int] = {}
    for n, spec in enumerate(specs):
        if (first := index.setdefault(spec.name, n)) != n:
            both = f"{places[first]} and {places[n]}"
            raise InvalidGraph(f"{both} are both named {_quoted(spec.name)}")
    needs = {n: _parents(spec, index) for n, spec in enumerate(specs)}
    try:
        graph.bottom_levels(needs)
    except graph.CycleFound as cycle:
        raise InvalidGraph(f"the dependencies form a cycle: {_chain(cycle, specs)}") from None


def _parents(spec: JobSpec, index: Mapping[str, int]) -> list[int]:
    """The tasks that one needs. What no task is named, but looks like a job's id, is one: the
    store knows whether it exists."""
    found = []
    for name in spec.depends_on:
        if name == spec.name:
            raise InvalidGraph(f"{_quoted(name)} needs itself")
        if name in index:
            found.append(index[name])
        elif not _JOB_ID.fullmatch(name):
            hint = _did_you_mean(name, [other for other in index if other != spec.name])
            text = f"{_quoted(spec.name)} needs {_quoted(name)}, which is no task of this file"
            raise InvalidGraph(text + hint)
    return found


_CHAIN_LIMIT = 10


def _chain(cycle: graph.CycleFound, specs: Sequence[JobSpec]) -> str:
    names = [_short(specs[node].name) for node in cycle.nodes]
    if len(names) > _CHAIN_LIMIT:
        names[_CHAIN_LIMIT - 2 : -1] = ["…"]
    return " needs ".join(names)


def named(found: JobFile, name: str | None) -> JobFile:
    """The same file, with another name if one is given."""
    if name is None:
        return found
    try:
        return replace(found, name=batch_name(name, "--name"))
    except Fault as fault:
        raise InvalidJobFile(str(fault)) from None
