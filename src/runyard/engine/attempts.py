"""The attempts a worker has under way: their steps, and the places they hold."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from runyard.domain.lifecycle import Cause, Outcome
from runyard.engine import steps
from runyard.engine.places import Place, Places
from runyard.engine.steps import NoWay, Step
from runyard.execution import logs
from runyard.execution.bounds import Bounds
from runyard.execution.simulated import INFRA_FAILURE
from runyard.execution.strays import KEY_VARIABLE
from runyard.execution.wire import End, Run
from runyard.store.claim import Claim
from runyard.store.finish import Ended
from runyard.store.leases import Lease


@dataclass(slots=True)
class _Live:
    """One attempt: where it runs, the step it is at and those to come."""

    claim: Claim
    place: Place
    steps: deque[Step]
    began_at: float
    step_at: float
    step: Step | None = field(default=None)
    setup_seconds: float | None = None
    waited: float = 0.0  # seconds for another attempt on its place to end
    is_waiting: bool = False


class Attempts:
    """Who runs where. Attempts are known to the launcher by a key that no other worker, on any
    home, uses."""

    def __init__(self, worker: str, places: Places, log_root: Path, bounds: Bounds) -> None:
        self._worker = worker
        self._logs = log_root
        self._bounds = bounds
        self._places = places
        self._live: dict[str, _Live] = {}
        self._checks: dict[str, Place] = {}
        self._checks_made = 0

    def __len__(self) -> int:
        return len(self._live)

    @property
    def leases(self) -> set[Lease]:
        """(seq, fence) of each."""
        return {(live.claim.seq, live.claim.fence) for live in self._live.values()}

    def begin(self, claims: Iterable[Claim]) -> tuple[list[Run], list[Ended]]:
        """Take the places of new claims; returns what the launcher is to start, and the attempts
        that end at once since they cannot run here, or not yet."""
        live_seqs = {live.claim.seq for live in self._live.values()}
        now = time.monotonic()
        runs, ended = [], []
        for claim in claims:
            if claim.seq in live_seqs:  # see forgotten(): it cannot run beside itself
                given_back = Outcome(Cause.RELEASED, was_begun=False)
                ended.append(Ended(claim.seq, claim.fence, given_back))
                continue
            old_build = self._places[claim.slot].build
            waits = self._places[claim.slot].is_busy
            place = self._places.claimed(claim)
            try:
                wanted = deque(steps.steps(claim, place, old_build, self._bounds))
            except NoWay as reason:
                self._places.freed(place, claim.seq, None, is_unknown=claim.installs)
                outcome = Outcome(Cause.NOT_STARTED, detail=str(reason))
                ended.append(Ended(claim.seq, claim.fence, outcome))
                continue
            key = self.key((claim.seq, claim.fence))
            self._live[key] = live = _Live(claim, place, wanted, now, now, is_waiting=waits)
            runs.append(self._next(key, live))
        return runs, ended

    def end(self, end: End) -> Run | Ended | None:
        """What follows the end of a step: the next one, or the end of the attempt, which frees
        its place. None if it was no attempt of ours."""
        if (place := self._checks.pop(end.key, None)) is not None:
            place.is_busy = False
            self._places.checked(place, self._fault(end, "the check"))
            return None
        live = self._live.get(end.key)
        if live is None:
            return None
        if live.step is None or not live.step.name:
            return self._finish(end.key, self._outcome(live, end))
        return self._prepared(live.step.name, live, end)

    def _prepared(self, step: str, live: _Live, end: End) -> Run | Ended:
        """What follows a step that prepares the place."""
        seconds = time.monotonic() - live.step_at
        live.setup_seconds = (live.setup_seconds or 0.0) + seconds
        if end.cause == Cause.EXITED.value:
            if step == "teardown":  # whatever it left, the setup will tell
                return self._next(end.key, live)
            if end.exit_code == 0:
                self._places.installed(live.place, seconds)
                return self._next(end.key, live)
        return self._finish(end.key, self._not_prepared(live, end))

    def lose_all(self) -> list[Ended]:
        """Nobody watches them any more."""
        self._checks.clear()
        waiting = self.waiting()  # asked first: each end lets the next one begin
        return [
            self._finish(key, Outcome(Cause.LOST, was_begun=key not in waiting))
            for key in list(self._live)
        ]

    def checks(self) -> list[Run]:
        """Looks at the health of places that are due."""
        runs = []
        for place in self._places.due_for_check():
            if place.target and (fault := steps.missing(place.target)):
                self._places.checked(place, fault)
            elif (step := steps.check(place)) is None:
                self._places.checked(place, None)
            else:
                self._checks_made += 1
                key = f"{self._worker}.check.{self._checks_made}"
                self._checks[key] = place
                place.is_busy = True
                runs.append(self._run(key, place, step, self._logs / f"{self._worker}.check"))
        return runs

    def not_among(self, held: Collection[Lease], asked_at: float) -> list[str]:
        """Keys of those that the store does not say we hold. Attempts that started after it was
        asked are not in its answer, and not lost."""
        return [
            key
            for key, live in self._live.items()
            if live.began_at < asked_at and (live.claim.seq, live.claim.fence) not in held
        ]

    def forgotten(self, claims: Iterable[Claim]) -> list[str]:
        """Keys of those whose jobs are claimed anew, maybe under the same fence: the host of the
        store went down and took their claims with it, for which nobody waits until they are on the
        disk."""
        seqs = {claim.seq for claim in claims}
        return [key for key, live in self._live.items() if live.claim.seq in seqs]

    def key(self, lease: Lease) -> str:
        """An attempt's name towards the launcher."""
        return f"{self._worker}.{lease[0]}.{lease[1]}"

    def waiting(self, older_than: float = 0.0) -> list[str]:
        """Keys of those that have waited for so many seconds for another to end."""
        since = time.monotonic() - older_than
        return [k for k, live in self._live.items() if live.is_waiting and live.began_at <= since]

    def _finish(self, key: str, outcome: Outcome) -> Ended:
        live = self._live.pop(key)
        self._keep_pace(live)
        blames_place = live.place.target is not None and (
            outcome.cause is Cause.SETUP or (outcome.cause is Cause.LOST and outcome.detail)
        )
        is_cut_short = bool(live.step and live.step.name) and outcome.cause is not Cause.EXITED
        self._places.freed(
            live.place,
            live.claim.seq,
            outcome.detail if blames_place else None,
            is_unknown=is_cut_short,
        )
        outcome = replace(outcome, setup_seconds=live.setup_seconds, waited_seconds=live.waited)
        return Ended(live.claim.seq, live.claim.fence, outcome)

    def _keep_pace(self, ended: _Live) -> None:
        """Whatever waited for an attempt that ended begins now."""
        if ended.place.target is not None:
            return
        now = time.monotonic()
        self._places.pace.note(now - ended.began_at - ended.waited)
        if ended.is_waiting or not ended.place.waiting:
            return
        waiting = (li for li in self._live.values() if li.place is ended.place and li.is_waiting)
        if (live := next(waiting, None)) is not None:  # the order of claims is that of starts
            live.is_waiting, live.waited = False, now - live.began_at

    def _not_prepared(self, live: _Live, end: End) -> Outcome:
        """The setup failed, unless somebody ended it."""
        if end.cause not in (Cause.EXITED, Cause.TIMEOUT, Cause.SILENT, Cause.NOT_STARTED):
            return Outcome(Cause(end.cause))
        fault = self._fault(end, f"the setup on {live.place.name}")
        detail = _last_line(self._paths(live, "setup")) or ""
        return Outcome(Cause.SETUP, end.exit_code, end.signal, detail=f"{fault}: {detail}"[:500])

    @staticmethod
    def _outcome(live: _Live, end: End) -> Outcome:
        if live.is_waiting:
            return Outcome(Cause(end.cause), was_begun=False)
        used = (end.cpu_seconds, end.max_rss_bytes)
        if live.place.is_simulated and end.exit_code == INFRA_FAILURE:
            return Outcome(Cause.LOST, None, None, *used, f"{live.place.name} went away")
        return Outcome(Cause(end.cause), end.exit_code, end.signal, *used, end.detail)

    @staticmethod
    def _fault(end: End, what: str) -> str | None:
        if end.cause == Cause.EXITED.value and end.exit_code == 0:
            return None
        how = {
            Cause.TIMEOUT.value: "took too long",
            Cause.NOT_STARTED.value: f"could not be started ({end.detail})",
        }.get(end.cause)
        return f"{what} {how or f'ended with exit code {end.exit_code}'}"

    def _next(self, key: str, live: _Live) -> Run:
        live.step, live.step_at = live.steps.popleft(), time.monotonic()
        return self._run(
            key, live.place, live.step, self._paths(live, live.step.name), _ids(live.claim)
        )

    def _paths(self, live: _Live, step: str) -> Path:
        return logs.stem(self._logs, live.claim.id, live.claim.fence, step)

    def _run(
        self, key: str, place: Place, step: Step, stem: Path, ids: Sequence[tuple[str, str]] = ()
    ) -> Run:
        return Run(
            key,
            step.kind,
            step.command,
            f"{stem}.out",
            f"{stem}.err",
            place.index,
            step.cwd,
            {**step.env, **dict(ids), KEY_VARIABLE: key},
            step.timeout,
            step.silent_timeout,
        )


def _ids(claim: Claim) -> list[tuple[str, str]]:
    return [("RUNYARD_JOB_ID", claim.id), ("RUNYARD_ATTEMPT_NUMBER", str(claim.number))]


def _last_line(stem: Path) -> str | None:
    """The last thing that a step had to say, its errors first."""
    for end in (".err", ".out"):
        text = logs.read(Path(f"{stem}{end}")).decode(errors="replace").strip()
        if text:
            return text.splitlines()[-1]
    return None
