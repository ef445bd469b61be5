"""Schedules: when templates are run, by themselves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from runyard.domain.listing import NameFilter
from runyard.domain.parameters import Value
from runyard.domain.template import checked_name
from runyard.domain.timetable import Missed, Overlap, Schedule
from runyard.domain.user import Actor
from runyard.errors import Conflict, InvalidRequest
from runyard.service.cron import Cron
from runyard.service.templates import (
    missing,
    org_to_change,
    org_to_see,
    rendered,
    require_owner,
    template_of,
    texts,
)
from runyard.store import audit, timetable
from runyard.store.database import Store, Tx
from runyard.store.timetable import ScheduleRow

MOST_UPCOMING = 1000
Way = TypeVar("Way", bound=StrEnum)


class Schedules:
    """The requests about schedules, made by ``actor``. Names are unique within an org. Everybody
    sees the schedules of their org, and changes their own; what a schedule submits counts as its
    creator's."""

    def __init__(self, store: Store, actor: Actor) -> None:
        self._store = store
        self._actor = actor

    def add(
        self,
        name: str,
        template: str,
        cron: str,
        *,
        timezone: str = "UTC",
        parameters: Mapping[str, Value] | None = None,
        missed: Missed | str = Missed.ONCE,
        overlap: Overlap | str = Overlap.SKIP,
        org_id: str | None = None,
    ) -> Schedule:
        """Run a template of the org whenever ``cron`` is due on the clocks of ``timezone``.

        Raises ``InvalidRequest`` for what is no expression, time zone or policy and for parameters
        that the template does not take, ``NotFound`` for the template, ``Conflict`` if there is a
        schedule of that name.
        """
        self._actor.require_change()
        org = org_to_change(self._actor, org_id, "schedule")
        values = texts(parameters or {})
        fields = {
            "org_id": org,
            "name": checked_name(name, "schedule"),
            "template": template,
            "cron": cron,
            "timezone": timezone,
            "parameters": json.dumps(values),
            "missed": _way(Missed, missed, "missed").value,
            "overlap": _way(Overlap, overlap, "overlapping").value,
            "created_by": self._actor.name,
            "user_id": self._actor.user_id,
        }

        def work(tx: Tx) -> ScheduleRow:
            times = Cron(cron, timezone)
            times.check(tx.now)
            rendered(template_of(tx, org, template), values)
            if not timetable.add(tx, {**fields, "next_at": times.next_after(tx.now)}):
                raise Conflict(f"there is a schedule {name!r} already; remove it first")
            self._note(tx, "schedule.add", org, name)
            return _found(timetable.get(tx, org, name), name)

        return as_schedule(self._store.write(work))

    def get(self, name: str, org_id: str | None = None) -> Schedule:
        """The schedule of that name. Raises ``NotFound``."""
        with self._store.read() as tx:
            return as_schedule(
                _found(
                    timetable.get(tx, org_to_see(self._actor, org_id, "schedule", name), name), name
                )
            )

    def page(
        self,
        limit: int = 100,
        after: tuple[str, str] | None = None,
        wanted: NameFilter | None = None,
    ) -> list[Schedule]:
        """Those that may be seen, by org and name, behind such a pair."""
        last = after or ("", "")
        with self._store.read() as tx:
            found = timetable.some(tx, self._actor.sees, limit, last, wanted)
            return [as_schedule(row) for row in found]

    def upcoming(self, name: str, count: int = 5, org_id: str | None = None) -> list[datetime]:
        """The next times at which a schedule is due, or would be if it were not paused, as the
        clocks of its time zone show them."""
        if not 1 <= count <= MOST_UPCOMING:
            raise InvalidRequest(f"ask for 1 to {MOST_UPCOMING} times")
        with self._store.read() as tx:
            row = _found(
                timetable.get(tx, org_to_see(self._actor, org_id, "schedule", name), name), name
            )
            now = tx.now
        return Cron(row.cron, row.timezone).upcoming(now, count)

    def pause(self, name: str, org_id: str | None = None) -> Schedule:
        """Let nothing be due until it is resumed; what would have been, is not made up for."""

        def work(tx: Tx, row: ScheduleRow) -> None:
            if row.paused_at is None:
                timetable.change(tx, row.id, paused_at=tx.now, next_at=None)

        return self._change("schedule.pause", name, org_id, work)

    def resume(self, name: str, org_id: str | None = None) -> Schedule:
        """Go on, with the next time that is due from now."""

        def work(tx: Tx, row: ScheduleRow) -> None:
            if row.paused_at is not None:
                due = Cron(row.cron, row.timezone).next_after(tx.now)
                timetable.change(tx, row.id, paused_at=None, next_at=due)

        return self._change("schedule.resume", name, org_id, work)

    def remove(self, name: str, org_id: str | None = None) -> None:
        """Forget a schedule; what it submitted stays. Raises ``NotFound``."""
        self._change("schedule.remove", name, org_id, lambda tx, row: timetable.remove(tx, row.id))

    def _change(
        self, action: str, name: str, org_id: str | None, work: Callable[[Tx, ScheduleRow], None]
    ) -> Schedule:
        self._actor.require_change()
        org = org_to_see(self._actor, org_id, "schedule", name)

        def change(tx: Tx) -> ScheduleRow:
            row = _found(timetable.get(tx, org, name, lock=True), name)
            require_owner(self._actor, row.created_by)
            work(tx, row)
            self._note(tx, action, org, name)
            return timetable.get(tx, org, name) or row

        return as_schedule(self._store.write(change))

    def _note(self, tx: Tx, action: str, org: str, name: str) -> None:
        audit.note(tx, self._actor, action, f"{org}/{name}")


def as_schedule(row: ScheduleRow) -> Schedule:
    """A row as people see it."""
    fields: dict[str, Any] = {name: getattr(row, name) for name in Schedule.model_fields}
    return Schedule(**{**fields, "parameters": json.loads(row.parameters)})


def _found(row: ScheduleRow | None, name: str) -> ScheduleRow:
    if row is None:
        raise missing("schedule", name)
    return row


def _way(ways: type[Way], word: str, which: str) -> Way:
    try:
        return ways(word)
    except ValueError:
        known = ", ".join(ways)
        raise InvalidRequest(f"{word!r} is none of the ways with {which} runs: {known}") from None
