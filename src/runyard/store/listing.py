"""Lists of jobs, the newest first, a page at a time.

A filter may fit one job in a million. So that no list reads them all at once, a page looks back
through so many jobs and for so long; and a job may be as long as ten thousand others, so a page
ends, too, when it holds so much. If it is not full by then, its cursor says where to go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, case, func, literal_column, select

from runyard.domain.job import State
from runyard.domain.listing import JobFilter, Page, number_of
from runyard.store.database import Tx
from runyard.store.schema import groups, in_state, job_labels, job_specs, jobs, queues
from runyard.store.statement import Statement
from runyard.store.views import JOBS, batch_seq_of, build

FIRST_WINDOW = 2_000  # jobs that are looked through first; four times as many each time after
MOST_OF_PAGE = 4 << 20  # characters of a page, but that of its first job
OF_ATTEMPT, OF_PARENT, OF_REST = 300, 30, 500  # characters, about
SHORT = 16 << 10  # characters of a spec that is read at once; others when the page is cut
LONGEST = 0.25  # seconds after which a page ends even if it is not full


_LENGTH = func.length(job_specs.c.spec)
_BRIEF = JOBS.with_only_columns(
    *(column for column in JOBS.selected_columns if column.key != "spec"),
    _LENGTH.label("length"),
    case((_LENGTH <= SHORT, job_specs.c.spec)).label("spec"),
)


def page(
    tx: Tx, wanted: JobFilter, limit: int, cursor: str | None = None, org: str | None = None
) -> Page:
    """The newest jobs that fit, or those after a cursor that an earlier page gave; if ``org`` is
    given, of that org only."""
    before = number_of(cursor) if cursor is not None else None
    if wanted == JobFilter():
        return _look_back(tx, partial(_any_between, tx, org), limit, before)
    query = _fitting(tx, wanted, org)
    if wanted.batch_id is not None or wanted.states == {State.RUNNING}:
        # There is an index of a batch's members, and one of the few that run: no bound is needed.
        rows = _between(tx, query, limit + 1, before, None)
        return _page(tx, rows, limit)
    return _look_back(tx, partial(_between, tx, query), limit, before)


def _fitting(tx: Tx, wanted: JobFilter, org: str | None) -> Select[Any]:
    query = _BRIEF
    if wanted.states:
        query = query.where(_in_states(tx, wanted.states))
    if wanted.batch_id is not None:
        query = query.where(jobs.c.batch_seq == batch_seq_of(tx, wanted.batch_id, org))
    if org is not None:
        query = query.where(groups.c.org_id == org)
    for column in (groups.c.org_id, groups.c.app_version_id, groups.c.target):
        if (value := getattr(wanted, column.name)) is not None:
            query = query.where(column == value)
    if wanted.submitted_by is not None:
        query = query.where(queues.c.submitted_by == wanted.submitted_by)
    if wanted.text:
        # A job without a name is shown by its command, which is in its spec.
        named = job_specs.c.name.icontains(wanted.text, autoescape=True)
        nameless = job_specs.c.spec.icontains(wanted.text, autoescape=True)
        query = query.where(named | ((job_specs.c.name == "") & nameless))
    for label, value in wanted.labels.items():
        labelled = select(job_labels.c.job_seq).where(
            job_labels.c.job_seq == jobs.c.seq, job_labels.c.label == label
        )
        if value is not None:
            labelled = labelled.where(job_labels.c.value == value)
        query = query.where(labelled.exists())
    return query


def _in_states(tx: Tx, states: frozenset[State]) -> ColumnElement[bool]:
    """The few jobs that run are looked up first: a planner that only sees that the list is by
    number would walk through all there are to find them."""
    if states == {State.RUNNING}:
        running = select(jobs.c.seq).where(in_state(State.RUNNING))
        return jobs.c.seq.in_(tx.conn.execute(running).scalars().all())
    return jobs.c.state.in_([state.value for state in states])


def _look_back(
    tx: Tx, between: Callable[[int, int, int], Sequence[Any]], limit: int, before: int | None
) -> Page:
    """Through windows of jobs, each longer than the one before. ``between`` finds at most so many
    before a number, down to another."""
    began = time.monotonic()
    oldest, newest = _ENDS.rows(tx)[0]
    top = newest + 1 if before is None else min(before, newest + 1)
    rows: list[Any] = []
    window = FIRST_WINDOW
    while top > oldest and len(rows) <= limit:
        bottom = top - window
        rows += between(limit + 1, top, bottom)
        top, window = bottom, window * 4
        if time.monotonic() - began > LONGEST:
            break
    return _page(tx, rows, limit, None if top <= oldest else str(top))


# Two looks at the ends of an index; one aggregate of both would read all of it on SQLite.
_ENDS = Statement(
    select(
        func.coalesce(select(func.min(jobs.c.seq)).scalar_subquery(), 0).label("oldest"),
        func.coalesce(select(func.max(jobs.c.seq)).scalar_subquery(), 0).label("newest"),
    )
)


def _between(
    tx: Tx, query: Select[Any], limit: int, top: int | None, bottom: int | None
) -> Sequence[Row[Any]]:
    """The newest of the jobs from ``bottom`` on and before ``top``."""
    if top is not None:
        query = query.where(jobs.c.seq < top)
    if bottom is not None:
        query = query.where(jobs.c.seq >= bottom)
    return tx.conn.execute(query.order_by(jobs.c.seq.desc()).limit(limit)).all()


def _any_between(tx: Tx, org: str | None, limit: int, top: int, bottom: int) -> Sequence[Any]:
    """The same without a filter, which is what most people look at, and most often."""
    query = _any(limit, of_org=org is not None)
    return query.rows(tx, top=top, bottom=bottom, **({} if org is None else {"org": org}))


@lru_cache(maxsize=64)
def _any(limit: int, *, of_org: bool) -> Statement:
    """The limit is not a parameter: PostgreSQL would take one for a tenth of all that there is, and
    rather plan the query anew each time than keep a plan for so many."""
    query = _BRIEF.where(jobs.c.seq < bindparam("top"), jobs.c.seq >= bindparam("bottom"))
    if of_org:
        query = query.where(groups.c.org_id == bindparam("org"))
    return Statement(query.order_by(jobs.c.seq.desc()).limit(literal_column(str(limit))))


def _page(tx: Tx, rows: Sequence[Any], limit: int, rest: str | None = None) -> Page:
    """The first of these jobs; ``rest`` is the cursor of what comes behind them all."""
    shown = rows[: _room(rows[:limit])]
    return Page(build(tx, shown), str(shown[-1].seq) if len(rows) > len(shown) else rest)


def _room(rows: Sequence[Any]) -> int:
    """How many of these jobs a page holds, the first one whatever its length. Each claim raises a
    job's fence, so that it has no more attempts than that."""
    length = 0
    for number, row in enumerate(rows):
        length += row.length + OF_ATTEMPT * row.fence + OF_PARENT * row.parents + OF_REST
        if length > MOST_OF_PAGE and number:
            return number
    return len(rows)
