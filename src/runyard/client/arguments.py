"""What users of the Python clients pass, as the requests take it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runyard.domain.batch import Batch
from runyard.domain.ids import is_batch_id
from runyard.domain.job import Job, JobSpec, State
from runyard.domain.listing import BatchFilter, JobFilter
from runyard.errors import InvalidRequest
from runyard.service import drafts

Ids = str | Job | Batch | Sequence[str | Job | Batch]


def spec_of(command: str | Sequence[str], fields: Mapping[str, Any]) -> JobSpec:
    """A job of this process's directory, unless it names another. Raises ``InvalidRequest``."""
    return drafts.validated(_placed({**fields, "command": command}))


def placed(job: JobSpec | Mapping[str, Any]) -> JobSpec | Mapping[str, Any]:
    """The same for one of a batch."""
    if isinstance(job, JobSpec) and job.cwd and os.path.isabs(job.cwd):
        return job
    return _placed(job.model_dump(exclude_unset=True) if isinstance(job, JobSpec) else job)


def _placed(job: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(job)
    name = "working_dir" if "working_dir" in fields else "cwd"
    cwd = fields.get(name)
    if cwd is None or cwd == "":  # a worker stands elsewhere
        fields[name] = os.getcwd()
    elif isinstance(cwd, str | os.PathLike):
        fields[name] = os.path.abspath(cwd)
    return fields


def filter_of(
    state: State | str | Iterable[State | str],
    batch: str | Batch | None,
    **others: Any,
) -> JobFilter:
    """Which jobs a list shall show."""
    return JobFilter(_states(state), None if batch is None else id_of(batch), **others)


def batch_filter_of(
    state: State | str | Iterable[State | str],
    org_id: str | None,
    submitted_by: str | None,
    text: str,
) -> BatchFilter:
    """Which batches a list shall show."""
    return BatchFilter(_states(state), org_id, submitted_by, text)


def _states(state: State | str | Iterable[State | str]) -> frozenset[State]:
    return frozenset(map(_state, [state] if isinstance(state, str) else state))


def _state(word: State | str) -> State:
    try:
        return State(word)
    except ValueError:
        states = ", ".join(State)
        raise InvalidRequest(f"{word!r} is no state of a job: they are {states}") from None


def id_of(thing: str | Job | Batch) -> str:
    """The id of what may be one already."""
    return thing if isinstance(thing, str) else thing.id


def ids_of(things: Ids) -> list[str]:
    """The ids of one thing or several."""
    return [id_of(things)] if isinstance(things, str | Job | Batch) else [id_of(t) for t in things]


def is_one_job(things: Ids) -> bool:
    """Whether a job is meant, and not a list. Raises ``InvalidRequest`` for the id of a batch,
    since nobody could tell what comes back."""
    if isinstance(things, str) and is_batch_id(things):
        raise InvalidRequest(f"{things} is a batch: wait([{things!r}]) returns its jobs")
    return isinstance(things, str | Job)


def texts(pair: tuple[bytes, bytes]) -> tuple[str, str]:
    """stdout and stderr as text."""
    return pair[0].decode(errors="replace"), pair[1].decode(errors="replace")
