"""What people ask of the yard: who holds what, and what shall wait, go first or stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from runyard.config import Home
from runyard.domain.job import Job
from runyard.domain.slot import SlotState
from runyard.domain.yard import DeviceView, GroupView
from runyard.engine import presence
from runyard.errors import InvalidRequest
from runyard.policy.fits import Rules, Scope
from runyard.store import control, groups, health, rules, views
from runyard.store.database import Store, Tx

Result = TypeVar("Result")


class Yardmaster:
    """The requests about groups, devices, pauses and limits, on one store."""

    def __init__(self, store: Store, home: Home) -> None:
        self._store = store
        self._home = home

    def groups(self, limit: int = 50) -> list[GroupView]:
        """Groups with work first, then the newest."""
        with self._store.read() as tx:
            return groups.some(tx, limit)

    def devices(self) -> list[DeviceView]:
        """Every slot of every worker."""
        with self._store.read() as tx:
            return groups.devices(tx)

    def drain(self, device: str) -> int:
        """Start nothing more on a device; returns how many slots of that name changed."""
        return self._change(
            lambda tx: health.set_state(tx, device, SlotState.DRAINING, "drained by hand")
        )

    def resume_device(self, device: str) -> int:
        """Use a drained or quarantined device again."""
        return self._change(lambda tx: health.set_state(tx, device, SlotState.READY))

    def pause(self, scope: Scope, name: str) -> bool:
        """Start nothing more of an org, a target or a group; False if it is paused already."""
        return self._change(lambda tx: rules.pause(tx, scope, name))

    def resume(self, scope: Scope, name: str) -> bool:
        """Go on with it; False if it was not paused."""
        return self._change(lambda tx: rules.resume(tx, scope, name))

    def limit(self, scope: Scope, name: str, maximum: int | None) -> None:
        """Let at most so many jobs of it run at once; None lifts the limit."""
        if not name:
            raise InvalidRequest("say whose limit it is")
        self._change(lambda tx: rules.limit(tx, scope, name, maximum))

    def rules(self) -> Rules:
        """All pauses and limits, and what counts against them now."""
        with self._store.read() as tx:
            return rules.read(tx, lock=False)

    def set_priority(self, job_id: str, priority: int) -> Job:
        """Give a job that waits another priority."""

        def work(tx: Tx) -> int:
            seq = views.seq_of(tx, job_id)
            control.set_priority(tx, seq, priority)
            return seq

        seq = self._change(work)
        with self._store.read() as tx:
            return views.get(tx, seq)

    def cancel_group(self, group: int) -> list[str]:
        """Cancel what waits and runs of a group; returns the ids of these jobs."""

        def work(tx: Tx) -> tuple[Sequence[int], set[str]]:
            seqs = groups.waiting_seqs(tx, group)
            return seqs, control.cancel(tx, seqs).workers

        seqs, _ = self._change(work)
        with self._store.read() as tx:
            return [job.id for job in views.get_many(tx, seqs)]

    def _change(self, work: Callable[[Tx], Result]) -> Result:
        done = self._store.write(work)
        presence.wake_workers(self._home.run)
        return done
