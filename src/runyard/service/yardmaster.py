"""What people ask of the yard: who holds what, and what shall wait, go first or stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from runyard.config import LEASE_SECONDS, Home
from runyard.domain.job import Job
from runyard.domain.listing import (
    DeviceFilter,
    GroupFilter,
    GroupPage,
    LimitFilter,
    WorkerFilter,
)
from runyard.domain.slot import SlotState
from runyard.domain.user import Actor
from runyard.domain.yard import DeviceView, GroupView, LimitView, PauseView, TargetView, WorkerView
from runyard.engine import presence
from runyard.errors import InvalidRequest
from runyard.policy.fits import Scope
from runyard.service import access
from runyard.store import audit, control, groups, health, limited, quotas, registry, rules, views
from runyard.store.database import Store, Tx
from runyard.store.registry import LIVE_LEASES, WorkerInfo

Result = TypeVar("Result")


class Yardmaster:
    """The requests about groups, devices, pauses and limits, on one store, made by ``actor``:
    everybody may look at what is of their org, and only admins change anything but jobs."""

    def __init__(
        self, store: Store, home: Home, actor: Actor, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._store = store
        self._home = home
        self._actor = actor
        self._lease_seconds = lease_seconds

    def groups(self, limit: int = 50, wanted: GroupFilter | None = None) -> list[GroupView]:
        """Groups with work first, then the newest."""
        with self._store.read() as tx:
            return groups.page(tx, wanted or GroupFilter(), limit, org=self._actor.sees).groups

    def group_page(
        self, wanted: GroupFilter, limit: int = 50, cursor: str | None = None
    ) -> GroupPage:
        """The same a page at a time."""
        with self._store.read() as tx:
            return groups.page(tx, wanted, limit, cursor, self._actor.sees)

    def devices(self) -> list[DeviceView]:
        """Every slot of every worker; what another org has or runs on it is not told."""
        with self._store.read() as tx:
            return groups.devices(tx, self._actor.sees)

    def device_page(
        self, wanted: DeviceFilter, limit: int, after: tuple[str, str] | None = None
    ) -> list[DeviceView]:
        """The same by worker and name, those behind the one of these."""
        with self._store.read() as tx:
            return groups.device_page(tx, wanted, limit, after, self._actor.sees)

    def workers(self) -> list[WorkerView]:
        """The workers that have been seen lately."""
        with self._store.read() as tx:
            return list(map(_view, registry.live(tx, self._live_since(tx))))

    def worker_page(self, wanted: WorkerFilter, limit: int, after: str = "") -> list[WorkerView]:
        """The same by id, those behind ``after``."""
        with self._store.read() as tx:
            found = registry.page(tx, self._live_since(tx), wanted, limit, after)
            return list(map(_view, found))

    def _live_since(self, tx: Tx) -> float:
        return tx.now - LIVE_LEASES * self._lease_seconds

    def targets(self) -> list[TargetView]:
        """The kinds of places that there are, by name."""
        counts: dict[str, list[int]] = {}
        for device in self.devices():
            count = counts.setdefault(device.target or "any", [0, 0])
            count[0] += 1
            count[1] += device.state == SlotState.READY
        return [
            TargetView(name=name, slots=slots, ready=ready)
            for name, (slots, ready) in sorted(counts.items())
        ]

    def drain(self, device: str) -> int:
        """Start nothing more on a device; returns how many slots of that name changed."""
        return self._administer(
            "drain",
            device,
            lambda tx: health.set_state(tx, device, SlotState.DRAINING, "drained by hand"),
        )

    def resume_device(self, device: str) -> int:
        """Use a drained or quarantined device again."""
        ready = SlotState.READY
        return self._administer("resume", device, lambda tx: health.set_state(tx, device, ready))

    def pause(self, scope: Scope, name: str) -> bool:
        """Start nothing more of an org, a target or a group; False if it is paused already. Raises
        ``NotFound`` for a group."""
        subject = f"{scope} {name}"

        def work(tx: Tx) -> bool:
            if scope is Scope.GROUP:  # an org or a target may be named before there is one
                groups.must_be(tx, name)
            return rules.pause(tx, scope, name)

        return self._administer("pause", subject, work)

    def resume(self, scope: Scope, name: str) -> bool:
        """Go on with it; False if it was not paused."""
        subject = f"{scope} {name}"
        return self._administer("resume", subject, lambda tx: rules.resume(tx, scope, name))

    def pauses(self) -> list[PauseView]:
        """What starts nothing more for now: orgs that may be seen, and targets; groups tell it
        themselves."""
        with self._store.read() as tx:
            paused = rules.read(tx, lock=False).paused
        return [
            PauseView(scope=scope, name=name, since=since)
            for (scope, name), since in sorted(paused.items())
            if scope is Scope.TARGET or (scope is Scope.ORG and self._actor.sees in (None, name))
        ]

    def change_limit(self, scope: Scope, name: str, changes: Mapping[str, int | None]) -> None:
        """Let at most so many jobs of it be ``running`` at once or ``waiting`` at a time: both that
        are given or, on any error, none. None lifts a limit; ``*`` is everybody without a number
        of their own."""
        _check_limit(scope, name, changes)
        subject = f"{scope} {name}"

        def work(tx: Tx) -> None:
            if "running" in changes:
                rules.limit(tx, scope, name, changes["running"])
            if "waiting" in changes:
                quotas.put(tx, str(scope), name, changes["waiting"])

        self._administer("limit", subject, work, changes)

    def limits(self) -> list[LimitView]:
        """All limits and quotas, and what counts against them now, by scope and name."""
        return self.limit_page(LimitFilter())

    def limit_page(
        self,
        wanted: LimitFilter,
        limit: int | None = None,
        after: tuple[str, str] | None = None,
    ) -> list[LimitView]:
        """Those that fit, behind the one of these."""
        self._actor.require_admin()
        with self._store.read() as tx:
            return limited.page(tx, wanted, limit, after)

    def set_priority(self, job_id: str, priority: int) -> Job:
        """Give a job that waits another priority."""

        def work(tx: Tx) -> int:
            seq = views.seq_of(tx, job_id, self._actor.sees)
            access.require_own(tx, self._actor, [seq])
            control.set_priority(tx, seq, priority)
            audit.note(tx, self._actor, "priority", job_id, {"to": priority})
            return seq

        seq = self._change(work)
        with self._store.read() as tx:
            return views.get(tx, seq)

    def cancel_group(self, group: int) -> list[str]:
        """Cancel what waits and runs of a group; returns the ids of these jobs."""

        def work(tx: Tx) -> tuple[Sequence[int], set[str]]:
            seqs = groups.waiting_seqs(tx, group, self._actor.sees)
            access.require_own(tx, self._actor, seqs)
            audit.note(tx, self._actor, "cancel", f"group {group}", {"jobs": len(seqs)})
            return seqs, control.cancel(tx, seqs).workers

        seqs, _ = self._change(work)
        with self._store.read() as tx:
            return [job.id for job in views.get_many(tx, seqs)]

    def _administer(
        self,
        action: str,
        subject: str,
        work: Callable[[Tx], Result],
        data: Mapping[str, Any] | None = None,
    ) -> Result:
        self._actor.require_admin()

        def noted(tx: Tx) -> Result:
            audit.note(tx, self._actor, action, subject, data)
            return work(tx)

        return self._change(noted)

    def _change(self, work: Callable[[Tx], Result]) -> Result:
        done = self._store.write(work)
        presence.wake_workers(self._home.run)
        return done


def _view(worker: WorkerInfo) -> WorkerView:
    return WorkerView(
        id=worker.id,
        host=worker.host,
        pid=worker.pid,
        slots=worker.slots,
        targets=None if worker.targets is None else list(worker.targets),
        started_at=worker.started_at,
        seen_at=worker.seen_at,
    )


def _check_limit(scope: Scope, name: str, changes: Mapping[str, int | None]) -> None:
    if not name:
        raise InvalidRequest("say whose limit it is")
    if "running" in changes and scope is Scope.GROUP:
        raise InvalidRequest("a group has no limit: pause it instead")
    if "running" in changes and name == quotas.EVERYBODY:
        raise InvalidRequest("how much runs at once is limited by name, not for everybody")
    if "waiting" in changes and scope not in quotas.KINDS:
        raise InvalidRequest("how much may wait is limited for users and orgs only")
