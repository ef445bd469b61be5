"""Run what schedules have due.

What is due is submitted in the transaction that moves its schedule on, so that each time is used
once, however many workers look and whenever one of them dies. The key of each submission, made of
schedule and time, would refuse a second one even so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from runyard.clock import isoformat
from runyard.domain.ids import batch_id
from runyard.domain.timetable import LABEL, MOST_AT_ONCE, ON_TIME, Missed, Overlap, Schedule
from runyard.domain.user import Actor
from runyard.errors import Conflict, Forbidden, NotFound, RunyardError, StoreBusy, StoreError
from runyard.execution.bounds import Bounds
from runyard.service import submission
from runyard.service.cron import Cron
from runyard.service.jobfile import JobFile
from runyard.service.jobs import save
from runyard.service.schedules import as_schedule
from runyard.service.templates import rendered, template_of
from runyard.store import audit, batches, control, durations, timetable, users, views
from runyard.store.database import Store, Tx
from runyard.store.submit import NewBatch
from runyard.store.timetable import ScheduleRow

log = logging.getLogger("runyard")

AT_ONCE = 100  # schedules looked at before others are asked for


class Timekeeper:
    """Sleeps until the next schedule is due, but looks again soon: others add some."""

    INTERVAL = 1.0

    def __init__(self, store: Store, bounds: Bounds, wake: Callable[[], None]) -> None:
        self._store = store
        self._bounds = bounds
        self._wake = wake

    def __call__(self) -> float:
        """Run what is due; returns seconds until the next look."""
        with self._store.read() as tx:
            seconds = timetable.next_due(tx)
            due = timetable.due(tx, AT_ONCE) if seconds == 0 else []
        for schedule_id in due:
            self._run(schedule_id)
        if due:
            self._wake()
        if len(due) == AT_ONCE:
            return 0.0
        # Also if some were due: what another worker has in hand need not be asked for at once.
        return self.INTERVAL if not seconds else min(seconds, self.INTERVAL)

    def _run(self, schedule_id: int) -> None:
        try:
            self._store.write(lambda tx: self._submit(tx, schedule_id), repeatable=True)
        except StoreBusy:
            raise
        except StoreError as error:
            log.warning("schedule %d: %s", schedule_id, error)  # it stays due
        except RunyardError as error:
            # What cannot be submitted now cannot be a moment later: the next time may be better.
            log.warning("schedule %d: %s", schedule_id, error)
            reason = str(error)
            self._store.write(lambda tx: _move_on(tx, schedule_id, reason), repeatable=True)

    def _submit(self, tx: Tx, schedule_id: int) -> None:
        row = timetable.take_due(tx, schedule_id)
        if row is None:
            return
        schedule = as_schedule(row)
        dues = runs(schedule, tx.now)
        batch = schedule.last_batch
        if dues:
            actor = _creator(tx, row)
            _make_room(tx, schedule, actor)
            template = template_of(tx, row.org_id, row.template)
            found = rendered(template, schedule.parameters)
            for due in dues:
                batch = self._submit_one(tx, schedule, actor, found, due)
        last = dues[-1] if dues else schedule.last_due
        timetable.change(
            tx,
            row.id,
            next_at=_next(row, tx.now),
            last_due=last,
            last_batch=batch,
            last_error=None,
        )

    def _submit_one(
        self, tx: Tx, schedule: Schedule, actor: Actor, found: JobFile, due: float
    ) -> str:
        labels = {LABEL: schedule.name}
        specs = [
            spec.model_copy(update={"labels": {**labels, **spec.labels}}) for spec in found.specs
        ]
        rows = submission.prepare(
            self._bounds.checked(specs),
            actor.name,
            lambda wanted: durations.expected(tx, wanted),
        )
        key = submission.key_for(rows, f"schedule {schedule.id} at {isoformat(due)}")
        batch = NewBatch(
            batch_id(), found.name, schedule.org_id, found.description, schedule.created_by
        )
        return save(tx, actor, rows, batch, key=key) or batch.id


def runs(schedule: Schedule, now: float) -> Sequence[float]:
    """The times at which a schedule that is due shall have run, the last of them perhaps now."""
    assert schedule.next_at is not None
    most = MOST_AT_ONCE if schedule.missed is Missed.ALL else 1
    times = Cron(schedule.cron, schedule.timezone)
    # Should the rules of the time zone have been changed since, it is due all the same.
    dues = times.latest(schedule.next_at, now, most) or [schedule.next_at]
    if schedule.missed is Missed.SKIP and now - dues[-1] > ON_TIME:
        return []
    return dues


def _make_room(tx: Tx, schedule: Schedule, actor: Actor) -> None:
    """See to the last run, if it is not over. Raises ``Conflict`` if it is in the way."""
    if schedule.overlap is Overlap.ALLOW or schedule.last_batch is None:
        return
    try:
        seq = views.batch_seq_of(tx, schedule.last_batch)
    except NotFound:  # deleted since
        return
    if batches.batch(tx, seq).is_final:
        return
    if schedule.overlap is Overlap.SKIP:
        raise Conflict(f"the last run, {schedule.last_batch}, is not over")
    control.cancel(tx, views.members_of(tx, seq))
    audit.note(tx, actor, "cancel", schedule.last_batch)


def _creator(tx: Tx, row: ScheduleRow) -> Actor:
    """On whose behalf it runs, with what they may do today."""
    if row.user_id is None:
        return Actor(row.created_by, org_id=row.org_id, address="schedule")
    user = users.named(tx, row.created_by).user
    if user.id != row.user_id or user.disabled_at is not None:
        raise Forbidden(f"its creator {row.created_by} is disabled")
    actor = Actor(user.name, user.role, user.org_id, address="schedule", user_id=user.id)
    actor.require_change()
    if actor.sees not in (None, row.org_id):
        raise Forbidden(f"its creator {row.created_by} has left the org {row.org_id}")
    return actor


def _move_on(tx: Tx, schedule_id: int, error: str) -> None:
    row = timetable.take_due(tx, schedule_id)
    if row is not None:
        timetable.change(tx, row.id, next_at=_next(row, tx.now), last_error=error[:1000])


def _next(row: ScheduleRow, now: float) -> float | None:
    return Cron(row.cron, row.timezone).next_after(now)
