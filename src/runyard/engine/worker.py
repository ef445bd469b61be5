"""A worker: a process that owns slots, claims jobs for them and reports how they ended.

One thread does all of it, one transaction at a time: whatever ended since the last one is
finished and the free slots are filled in the same commit. While that commit is under way the
launcher goes on starting and reaping, so what ends meanwhile is folded into the next one.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import inf

from runyard.clock import Clock, SystemClock
from runyard.config import Settings
from runyard.domain.ids import job_ids
from runyard.domain.lifecycle import Cause, Outcome
from runyard.domain.target import Target
from runyard.engine import presence
from runyard.engine.attempts import Attempts
from runyard.engine.housekeeping import housekeeping
from runyard.engine.keeper import Keeper
from runyard.engine.loop import Loop
from runyard.engine.observer import Observer
from runyard.engine.places import Places
from runyard.engine.renewals import Renewals
from runyard.engine.trouble import Trouble
from runyard.errors import LauncherLost, StoreBusy, StoreError
from runyard.execution.bounds import Bounds
from runyard.execution.handle import LauncherHandle, clean_environment
from runyard.execution.leftovers import end_leftovers
from runyard.store import control, durations, health, leases, registry, schedule
from runyard.store.claim import Claim, Claimer, claim
from runyard.store.database import Store, Tx
from runyard.store.finish import Ended, Finished, finish
from runyard.store.health import SlotChange
from runyard.store.leases import Lease, Renewed
from runyard.store.registry import WorkerInfo
from runyard.store.yard import FreeSlot

log = logging.getLogger("runyard")
DRAIN_SECONDS = 30.0  # how long running jobs may go on after a request to stop


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker behaves; seconds of wall time."""

    slots: int  # general ones, of no target with places of its own
    at_hand: tuple[Target, ...] = ()  # targets whose places it serves besides
    weights: Mapping[str, float] = field(default_factory=dict)  # shares of orgs, 1 unless said
    targets: frozenset[str] | None = None  # None: every target
    reserved: bool = False  # serves only jobs submitted to its own pool
    poll_seconds: float = 1.0  # how often it looks for work that nobody told it of
    drain_seconds: float = DRAIN_SECONDS
    idle_exit: float | None = None  # leave after so long without work
    keeps_time: bool = False  # but not while a schedule may make some


class Worker:
    """Owns slots. ``run`` returns when it was stopped, is idle too long or its observer is done."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        options: WorkerOptions,
        observer: Observer | None = None,
        clock: Clock | None = None,
        chores: Sequence[Loop] = (),
    ) -> None:
        """``chores`` are loops that run beside its own, for as long as it works."""
        prefix = presence.RESERVED if options.reserved else "worker-"
        self.id = prefix + job_ids(1)[0][:8]
        self._store = store
        self._settings = settings
        self._options = options
        self._ledger = presence.ledger_path(settings.home.run, self.id)
        self._observer = observer or Observer()
        self._clock = clock or SystemClock()
        self._chores = chores
        self._places = Places(options.slots, options.at_hand, options.targets)
        self._claimer = Claimer(
            self.id,
            settings.lease_seconds,
            frozenset({self.id if options.reserved else ""}),
            options.targets,
            self._places.group_slots,
            options.weights,
        )
        bounds = Bounds.of(settings)
        self._running = Attempts(self.id, self._places, settings.home.logs, bounds)
        self._unsaved: list[Ended] = []
        self._renewals = Renewals(self._running)
        self._lease_until = 0.0
        self._draining_until: float | None = None
        self._killed = False
        self._stop_sent = False
        self._launcher_deaths = 0  # since an attempt last ended
        self._idle_since = time.monotonic()
        self._trouble = Trouble("nothing is saved or started for now: %s", "jobs start again")

    @property
    def pool(self) -> str:
        """The pool whose jobs only this worker takes, or "" if it takes everybody's."""
        return self.id if self._options.reserved else ""

    def drain(self) -> None:
        """Claim nothing more and leave when what runs has ended. May be called by a signal."""
        if self._draining_until is None:
            self._draining_until = time.monotonic() + self._options.drain_seconds
        self._pipe.wake()

    def kill(self) -> None:
        """End what runs, give it back to the queue and leave. May be called by a signal."""
        self._killed = True
        self.drain()

    @property
    def is_stopping(self) -> bool:
        """Whether somebody asked it to."""
        return self._draining_until is not None

    def wake(self) -> None:
        """Look for work, or for a cancellation, now."""
        self._pipe.wake()

    def run(self) -> None:
        """Work until there is a reason to stop; leaves no process and no lease behind."""
        with ExitStack() as cleanup:
            self._sign_on(cleanup)
            self._observer.started()
            self._exchange(look_for_cancels=False)
            while not self._is_over():
                woken = self._wait()
                self._exchange(look_for_cancels=woken)
        if self._launcher_deaths >= LAUNCHER_DEATHS_ALLOWED:
            raise LauncherLost("the process that runs the jobs died again and again; see above")

    def __enter__(self) -> Worker:
        self._pipe = presence.WakePipe(self._settings.home.run, self.id)
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()

    def _sign_on(self, cleanup: ExitStack) -> None:
        """Begin, in an order that ends well backwards: the loops stop first, then the launcher
        with all that runs, and only then is the worker struck from the list."""
        self._launcher = self._new_launcher()
        cleanup.callback(self._close_launcher)
        targets = self._options.targets
        info = WorkerInfo(
            self.id,
            socket.gethostname(),
            os.getpid(),
            len(self._places),
            self.pool,
            None if targets is None else tuple(sorted(targets)),
            self._places.names,
        )

        def sign_on(tx: Tx) -> Mapping[str, float]:
            registry.sign_on(tx, info)
            return durations.usual(tx, durations.SETUP)

        self._places.usual_installs = self._store.write(sign_on, relaxed=True, repeatable=True)
        cleanup.callback(self._sign_off)
        self._selector = cleanup.enter_context(selectors.DefaultSelector())
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._selector.register(self._launcher, selectors.EVENT_READ)
        for loop in [*self._loops(), *self._chores]:
            loop.start()
            cleanup.callback(loop.stop)

    # Neither waits for the disk: a power cut that takes it back has ended the worker, too.
    def _sign_off(self) -> None:
        self._store.write(lambda tx: control.retire(tx, [self.id]), relaxed=True, repeatable=True)

    def _loops(self) -> list[Loop]:
        keeper = Keeper(
            self._store,
            self.id,
            self._settings.lease_seconds,
            self._clock,
            self._extend_lease,
            self._hear_of_leases,
        )
        return [
            Loop("keeper", keeper.interval, keeper),
            *housekeeping(self._store, self._settings, self._clock, self._pipe.wake, self.id),
        ]

    def _new_launcher(self) -> LauncherHandle:
        home = self._settings.home
        environment = clean_environment(self._settings.secret_variables)
        allowed = self._settings.allowed_workdirs
        launcher = LauncherHandle(self._ledger, environment, home.root, allowed=allowed)
        seconds = self._settings.lease_seconds / 2  # until the keeper's first renewal
        launcher.lease(seconds)
        self._lease_until = time.monotonic() + seconds
        return launcher

    def _close_launcher(self) -> None:
        self._launcher.close()  # the one there is by then
        # With jobs of ours in the store, whoever finds the ledger gives them back at once.
        if not self._running and not self._unsaved:
            self._ledger.unlink(missing_ok=True)

    # One round: wait, collect what ended, write it and claim, start what was claimed.

    def _wait(self) -> bool:
        """Until something ended, somebody woke us or it is time to look; returns whether woken."""
        woken = False
        for key, _ in self._selector.select(self._patience()):
            if key.fileobj is self._pipe:
                self._pipe.clear()
                woken = True
            else:
                self._collect()
        self._apply_renewals()
        return woken

    def _patience(self) -> float:
        if self._draining_until is None or self._stop_sent:
            has_next = bool(self._running.waiting())
            return min(NEXT_SECONDS if has_next else inf, self._options.poll_seconds)
        left = 0.0 if self._killed else self._draining_until - time.monotonic()
        return max(0.0, min(left, self._options.poll_seconds))

    def _collect(self) -> None:
        for end in self._launcher.ended():
            self._launcher_deaths = 0
            follows = self._running.end(end)
            if isinstance(follows, Ended):
                self._unsaved.append(follows)
            elif follows is not None:
                self._launcher.start([follows])
        if self._launcher.is_gone:
            self._lose_launcher()

    def _exchange(self, *, look_for_cancels: bool) -> None:
        """Save what ended and fill the free slots, in one commit. What cannot be saved now is
        kept and tried again; if that takes longer than the lease, the fence refuses it."""
        if self.is_stopping:
            self._stop_what_runs()
        self._launcher.drop(self._running.waiting(0.0 if self.is_stopping else NEXT_SECONDS))
        may_claim = self._may_claim()
        if may_claim and (checks := self._running.checks()):
            self._launcher.start(checks)
        ended, slots = self._unsaved, self._places.free if may_claim else []
        ahead = self._places.ahead if may_claim else []
        changes = list(self._places.changes)
        if not ended and not slots and not changes and not look_for_cancels:
            return  # what is about to be free is no reason by itself
        try:
            done, claims, cancels = self._store.write(
                lambda tx: self._transaction(tx, ended, (slots, ahead), changes, look_for_cancels),
                relaxed=True,
            )
        except StoreError as error:
            self._trouble.met(error)
            return
        self._trouble.over()
        self._unsaved = []
        del self._places.changes[: len(changes)]
        if claims:
            self._launcher.kill(self._running.forgotten(claims), Cause.FENCED.value)
            runs, impossible = self._running.begin(claims)
            self._launcher.start(runs)
            self._observer.claimed(claims)
            self._unsaved += impossible
            if impossible:
                self._pipe.wake()
        self._launcher.kill(map(self._running.key, cancels), Cause.CANCELLED.value)
        if ended or claims or self._running:
            self._idle_since = time.monotonic()
        if ended:
            self._observer.finished(done)

    def _may_claim(self) -> bool:
        """Not while the launcher's lease is over, say because this process was stopped for a
        while: it would kill at once whatever it is told to start."""
        return not self.is_stopping and time.monotonic() < self._lease_until

    def _transaction(
        self,
        tx: Tx,
        ended: list[Ended],
        slots: tuple[list[FreeSlot], list[FreeSlot]],
        changes: list[SlotChange],
        look_for_cancels: bool,
    ) -> tuple[Finished, list[Claim], set[Lease]]:
        done = finish(tx, ended)
        health.save(tx, self.id, changes)
        claims = claim(tx, self._claimer, *slots)
        cancels = leases.cancels(tx, self.id) if look_for_cancels and self._running else set()
        return done, claims, cancels

    # What the keeper hears, told in its thread and applied in ours.

    def _extend_lease(self, seconds: float) -> None:
        now = time.monotonic()
        self._launcher.lease(seconds)
        was_over, self._lease_until = now >= self._lease_until, now + seconds
        if was_over:
            self._pipe.wake()  # it has not claimed since

    def _hear_of_leases(self, renewed: Renewed, asked_at: float) -> None:
        self._renewals.tell(renewed, asked_at)
        if renewed.cancel:
            self._pipe.wake()

    def _apply_renewals(self) -> None:
        """Kill what the store says is no longer ours, give back what it says is and is not."""
        lost, unheard_of = self._renewals.look([(end.seq, end.fence) for end in self._unsaved])
        if lost:
            log.warning("the leases of %d attempts are over; they are ended", len(lost))
            self._launcher.kill(lost, Cause.FENCED.value)
        for seq, fence in unheard_of:
            log.warning("job %d was claimed unnoticed; it is given back", seq)
            self._unsaved.append(Ended(seq, fence, Outcome(Cause.RELEASED, was_begun=False)))

    # The end.

    def _stop_what_runs(self) -> None:
        assert self._draining_until is not None
        if self._killed or time.monotonic() >= self._draining_until:
            self._launcher.stop(0.0 if self._killed else STOP_GRACE)
            self._stop_sent = True

    def _is_over(self) -> bool:
        if self._running or self._unsaved:
            return False
        if self.is_stopping or self._observer.is_done():
            return True
        idle_exit = self._options.idle_exit
        if idle_exit is None or time.monotonic() - self._idle_since < idle_exit:
            return False
        if self._is_expecting():
            self._idle_since = time.monotonic()
            return False
        return True

    def _is_expecting(self) -> bool:
        """Whether there may be something to do later: nobody else may be there when a delayed
        job's time comes, or when the store can be reached again."""
        try:
            with self._store.read() as tx:
                return schedule.is_expecting(
                    tx,
                    self._claimer.pools,
                    self._claimer.targets,
                    with_schedules=self._options.keeps_time,
                )
        except StoreBusy as error:
            self._trouble.met(error)
            return True

    def _lose_launcher(self) -> None:
        """The launcher is gone: we told it to go, or else nobody watches what it started. That is
        ended, reported lost, and a new launcher takes over."""
        self._selector.unregister(self._launcher)
        self._launcher.close()
        if self._stop_sent and not self._running:
            return
        self._launcher_deaths += 1
        log.error("the launcher died; what it ran is ended, and will run again")
        # Another worker may be at it already; a child forked last may still hold the lock.
        while not end_leftovers([self._ledger]) and self._ledger.exists():
            time.sleep(0.005)
        self._unsaved += self._running.lose_all()
        if self._launcher_deaths >= LAUNCHER_DEATHS_ALLOWED:
            self.kill()
            return
        # One that dies at once must not use up every job's losses within a second.
        time.sleep(0.05 * 2**self._launcher_deaths)
        self._launcher = self._new_launcher()
        self._selector.register(self._launcher, selectors.EVENT_READ)


NEXT_SECONDS = 0.1  # for which an attempt may wait for the one before it, expected to be quick
STOP_GRACE = 5.0  # seconds between TERM and KILL at the end of a drain
LAUNCHER_DEATHS_ALLOWED = 5  # in a row, before the worker gives up
