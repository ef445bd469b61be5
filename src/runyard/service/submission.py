"""Turn what a user submits into rows: names into a graph, specs into JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from runyard.domain import graph
from runyard.domain.ids import job_ids
from runyard.domain.job import JobSpec
from runyard.errors import InvalidRequest
from runyard.policy.estimate import or_unknown
from runyard.service.documents import is_unicode
from runyard.store.durations import Key
from runyard.store.once import IdempotencyKey
from runyard.store.submit import NewJob


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


def check_text(what: str, text: str, longest: int) -> None:
    """Raises ``InvalidRequest`` for a text about a batch that cannot be kept."""
    if len(text) > longest or "\0" in text or not is_unicode(text):
        raise InvalidRequest(f"{what}: at most {longest} characters of Unicode without NUL")


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
