"""Why a queued job has not started, its place in line, and when it is expected to start.

The reasons come from what decides: the same rules, the same state of slots, and a forecast made
with the same policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runyard.domain.explanation import Explanation, say
from runyard.domain.job import Job
from runyard.domain.slot import SlotState
from runyard.policy.choose import class_of
from runyard.policy.fits import Blocker, Rules
from runyard.policy.forecast import Forecast, Outlook, forecast
from runyard.service.phrases import span
from runyard.store import health, outlook, registry, rules, views
from runyard.store.database import Tx
from runyard.store.registry import LIVE_LEASES, WorkerInfo

COUNT_LIMIT = 1000  # jobs that are counted one by one
RANGE = (0.6, 1.6)  # of what everything is expected to take, for the ends of the range


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What the workers reckon with: their lease, and what the configuration says of groups and
    shares."""

    lease_seconds: float
    group_slots: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)


def explain(
    tx: Tx, seq: int, job: Job, reckoning: Reckoning, org: str | None = None
) -> Explanation:
    """What keeps a queued job; if ``org`` is given, without the ids of other orgs' jobs."""
    since = tx.now - LIVE_LEASES * reckoning.lease_seconds
    placed = views.placement(tx, seq)
    here = _Places(job, placed.pool, registry.live(tx, since), health.all_slots(tx), tx.now)
    if not here.ready:
        ahead = views.ahead(tx, seq, COUNT_LIMIT)
        return _with_line(here.why_none(), ahead, ahead < COUNT_LIMIT)
    seen = outlook.read(tx, placed.pool, since, reckoning.group_slots, reckoning.weights)
    found = _reason(tx, seq, job, placed, seen.rules, here, org)
    if any(blocker.since is not None for blocker in seen.rules.blockers(placed)):
        ahead = views.ahead(tx, seq, COUNT_LIMIT)
        return _with_line(found, ahead, ahead < COUNT_LIMIT)
    return _with_forecast(found, seen, seq, job.target)


def briefly(
    tx: Tx, queued: Mapping[int, Job], reckoning: Reckoning, org: str | None = None
) -> dict[int, Explanation]:
    """What keeps some queued jobs, by their keys, without their places in line: at the cost of a
    glance."""
    live = registry.live(tx, tx.now - LIVE_LEASES * reckoning.lease_seconds)
    slots, ruling = health.all_slots(tx), rules.read(tx, lock=False)
    found = {}
    for seq, job in queued.items():
        placed = views.placement(tx, seq)
        here = _Places(job, placed.pool, live, slots, tx.now)
        found[seq] = (
            _reason(tx, seq, job, placed, ruling, here, org) if here.ready else here.why_none()
        )
    return found


class _Places:
    """The slots that may ever run a job."""

    def __init__(
        self, job: Job, pool: str, live: Sequence[WorkerInfo], slots: Sequence[Any], now: float
    ) -> None:
        self._job = job
        self._now = now
        self._live = [worker for worker in live if worker.pool == pool]
        serving = {w.id for w in self._live if w.targets is None or job.target in w.targets}
        rows = [row for row in slots if row.worker in serving]
        special = {row.worker for row in rows if row.target == job.target}
        self._all = [
            row
            for row in rows
            if row.target == job.target or (row.target is None and row.worker not in special)
        ]
        self.ready = [row for row in self._all if row.state == SlotState.READY.value]

    def holding(self, group: int) -> list[str]:
        """The names of those that hold a group."""
        return [row.name for row in self.ready if row.group_id == group]

    def why_none(self) -> Explanation:
        """Why there is none to run the job."""
        if not self._live:
            return say(self._job, "no_worker", "queued: no worker is running")
        if not self._all:
            text = f"queued: no worker serves target {self._job.target}"
            return say(self._job, "no_target", text)
        return say(self._job, "no_device", f"queued: {self.out_of_order()}")

    def out_of_order(self) -> str:
        """Those that take no jobs, and for how long they have not."""
        return ", ".join(
            f"{row.name} has been {row.state} for {span(self._now - row.since)}"
            + (f" ({row.reason})" if row.reason else "")
            for row in self._all
            if row.state != SlotState.READY.value
        )

    def in_words(self) -> str:
        """That all there are, are taken."""
        workers = len({row.worker for row in self.ready})
        many = len(self.ready)
        of = f"of {workers} worker{'s' * (workers != 1)}"
        return f"the {many} slots {of} are taken" if many != 1 else f"the only slot {of} is taken"


def _reason(
    tx: Tx, seq: int, job: Job, placed: Any, ruling: Rules, here: _Places, org: str | None
) -> Explanation:
    if blockers := ruling.blockers(placed):
        return _ruled(tx, job, blockers[0], org)
    is_at_top = class_of(placed.rank, tx.now) >= outlook.top(tx, placed.pool, job.target)
    if higher := views.of_higher_class(tx, seq, COUNT_LIMIT, is_at_top=is_at_top):
        count = f"more than {higher}" if higher == COUNT_LIMIT else str(higher)
        text = f"queued: behind {count} job{'s' * (higher != 1)} of higher class"
        found = say(job, "behind", text)
    elif placed.app_version_id and (slots := here.holding(placed.group_id)):
        text = f"queued: its build is on {', '.join(slots)}, where the jobs of its group run"
        found = say(job, "group", text).model_copy(update={"held_by": slots})
    else:
        found = say(job, "busy", f"queued: {here.in_words()}")
    if sick := here.out_of_order():
        found = found.model_copy(update={"text": f"{found.text}; {sick}"})
    return found


def _ruled(tx: Tx, job: Job, blocker: Blocker, org: str | None) -> Explanation:
    scope, name = blocker.subject
    if blocker.since is not None:
        text = f"queued: {scope} {name} has been paused for {span(tx.now - blocker.since)}"
        return say(job, "paused", text)
    holders = rules.holding(tx, blocker.subject, org)
    full = f"{blocker.running} of {blocker.maximum}"
    text = f"queued: the limit of {scope} {name} is full ({full})"
    if holders:
        text += f", held by {', '.join(holders)}"
    return say(job, "limit", text).model_copy(update={"held_by": holders})


# The place in line.


def _with_line(found: Explanation, ahead: int, is_exact: bool) -> Explanation:
    count = str(ahead) if is_exact else f"more than {ahead}"
    line = f"{count} job{'s' * (ahead != 1)} before it" if ahead else "it is the next one"
    return found.model_copy(update={"ahead": ahead, "text": f"{found.text}; {line}"})


def _with_forecast(found: Explanation, seen: Outlook, seq: int, target: str) -> Explanation:
    expected = forecast(seen, seq, target)
    found = _with_line(found, expected.before, expected.is_reached)
    if not expected.is_reached:
        return found
    low, high = (forecast(seen, seq, target, scale).seconds for scale in RANGE)
    low, high = min(low, expected.seconds), max(high, expected.seconds)
    text = f"{found.text}; expected to start {_when(expected, low, high)}"
    times = {
        "starts_at": seen.now + expected.seconds,
        "earliest": seen.now + low,
        "latest": seen.now + high,
    }
    return found.model_copy(update={"text": text, **times})


def _when(expected: Forecast, low: float, high: float) -> str:
    if high < 1.0:
        return "at once"
    return f"in about {span(expected.seconds)} ({span(low)} to {span(high)})"
