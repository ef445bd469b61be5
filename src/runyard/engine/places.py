"""The places of a worker: which builds they hold, and whether they are fit to be used."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from runyard.domain.slot import failures_after, is_quarantined_by
from runyard.domain.target import Target
from runyard.policy.estimate import INSTALL_SECONDS
from runyard.store.claim import Claim
from runyard.store.health import SlotChange
from runyard.store.yard import FreeSlot

AHEAD = 2  # attempts that may wait on a place for another to end, if all are quick
RECHECK_SECONDS = 15.0  # between looks at a quarantined place
PROBATION_SECONDS = 120.0  # after which one that has no check is tried again


@dataclass(slots=True)
class Place:
    """One slot, as its worker knows it."""

    index: int
    name: str
    target: Target | None = None  # None: a general one
    group_id: int | None = None  # whose build is installed
    build: str = ""
    failures: list[int] = field(default_factory=list)  # jobs that infrastructure failed, in a row
    is_busy: bool = False
    waiting: int = 0  # attempts that wait for the one that runs to end
    check_at: float | None = None  # when its health is to be looked at; None: it is known
    is_quarantined: bool = False

    @property
    def has_check(self) -> bool:
        """Whether there is a way to look at its health."""
        return (
            bool(self.target and (self.target.check or self.target.requires))
            and not self.is_simulated
        )

    @property
    def is_simulated(self) -> bool:
        """Whether nothing real is behind it."""
        return bool(self.target and self.target.driver == "simulated")


class Pace:
    """Whether jobs on general places come and go so fast that the next shall be at hand.

    What takes a millisecond would otherwise spend most of its time waiting for a commit. As soon as
    one takes longer, nothing is claimed ahead any more.
    """

    QUICK_SECONDS = 0.02
    IN_A_ROW = 16

    def __init__(self) -> None:
        self._quick_ones = 0

    @property
    def is_quick(self) -> bool:
        """Whether enough of them were, one after another."""
        return self._quick_ones >= self.IN_A_ROW

    def note(self, seconds: float) -> None:
        """One took so long."""
        self._quick_ones = self._quick_ones + 1 if seconds < self.QUICK_SECONDS else 0


class Places:
    """All of them. ``changes`` are to be saved with the next transaction."""

    def __init__(
        self, slots: int, targets: Iterable[Target], served: frozenset[str] | None
    ) -> None:
        self._all: dict[str, Place] = {}
        chosen = [t for t in targets if t.places and (served is None or t.name in served)]
        self._excludes = frozenset(target.name for target in chosen)
        self.group_slots = {t.name: t.group_slots for t in chosen if t.group_slots}
        self._install_seconds: dict[str, list[float]] = {}
        self.usual_installs: Mapping[str, float] = {}  # seconds by target, as history has it
        self.changes: list[SlotChange] = []
        self.pace = Pace()
        for number in range(1, slots + 1):
            self._add(str(number), None)
        for target in chosen:
            for name in target.places:
                self._add(name, target)

    def _add(self, name: str, target: Target | None) -> None:
        place = Place(len(self._all) + 1, name, target)
        if place.has_check:
            place.check_at = 0.0
        self._all[name] = place

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, name: str) -> Place:
        return self._all[name]

    @property
    def names(self) -> tuple[tuple[str, str | None], ...]:
        """Each with its target, None for any."""
        return tuple(
            (place.name, place.target.name if place.target else None)
            for place in self._all.values()
        )

    @property
    def free(self) -> list[FreeSlot]:
        """Those that could run something now."""
        return [
            FreeSlot(
                place.name,
                place.target.name if place.target else None,
                place.group_id,
                self._cost(place),
                self._excludes,
            )
            for place in self._all.values()
            if not place.is_busy and (place.check_at is None or place.is_quarantined)
        ]

    @property
    def ahead(self) -> list[FreeSlot]:
        """General ones on which something runs that will be over in no time, each as often as one
        more may wait there."""
        if not self.pace.is_quick:
            return []
        return [
            FreeSlot(place.name, excludes=self._excludes)
            for place in self._all.values()
            if place.target is None and place.is_busy
            for _ in range(AHEAD - place.waiting)
        ]

    def _cost(self, place: Place) -> float:
        if place.target is None:
            return 0.0  # nothing is installed on a general slot
        if place.is_simulated:
            return place.target.simulation.install_seconds
        if place.target.setup is None:
            return 0.0
        seen = self._install_seconds.get(place.target.name)
        return median(seen) if seen else self.usual_installs.get(place.target.name, INSTALL_SECONDS)

    def due_for_check(self) -> list[Place]:
        """Those whose health is to be looked at now. One without a check is on probation."""
        now = time.monotonic()
        due = [
            place
            for place in self._all.values()
            if not place.is_busy and place.check_at is not None and place.check_at <= now
        ]
        for place in due:
            if not place.has_check:
                self.checked(place, None)
        return [place for place in due if place.check_at is not None]

    def checked(self, place: Place, fault: str | None) -> None:
        """Take note of how a check ended; ``fault`` says why the place is not fit."""
        if fault is None:
            place.check_at = None
            if place.is_quarantined:
                place.is_quarantined = False
                place.failures = []
                self._say(place, quarantined=False)
        else:
            self._quarantine(place, fault)

    def claimed(self, claim: Claim) -> Place:
        """A place starts an attempt. One in quarantine was resumed by somebody."""
        place = self._all[claim.slot]
        place.waiting += place.is_busy
        place.is_busy = True
        if place.is_quarantined:
            place.is_quarantined, place.check_at, place.failures = False, None, []
        if claim.build:
            place.group_id, place.build = claim.group_id, claim.build
        return place

    def installed(self, place: Place, seconds: float) -> None:
        """An install took so long."""
        if place.target:
            self._install_seconds.setdefault(place.target.name, []).append(seconds)
        self._say(place, installed=True)

    def freed(self, place: Place, job: int, fault: str | None, *, is_unknown: bool = False) -> None:
        """An attempt of a job ended; ``fault`` if the place rather than the job was to blame,
        ``is_unknown`` if what is installed by now is anybody's guess."""
        place.is_busy = place.waiting > 0
        place.waiting = max(0, place.waiting - 1)
        if fault is not None and place.target is not None:
            place.failures = failures_after(place.failures, job)
            place.group_id, place.build = None, ""
            if is_quarantined_by(place.failures):
                self._quarantine(place, fault)
            else:
                place.check_at = 0.0 if place.has_check else None
                self._say(place)
        elif is_unknown and place.group_id is not None:
            place.group_id, place.build = None, ""
            self._say(place)
        elif place.failures:
            place.failures = []
            self._say(place)

    def _quarantine(self, place: Place, fault: str) -> None:
        wait = RECHECK_SECONDS if place.has_check else PROBATION_SECONDS
        place.check_at = time.monotonic() + wait
        place.group_id, place.build = None, ""
        if not place.is_quarantined:
            place.is_quarantined = True
            self._say(place, quarantined=True, reason=fault)

    def _say(
        self,
        place: Place,
        *,
        quarantined: bool | None = None,
        reason: str | None = None,
        installed: bool = False,
    ) -> None:
        self.changes.append(
            SlotChange(
                place.name,
                place.group_id,
                tuple(place.failures),
                quarantined,
                reason,
                installed,
            )
        )


def variables(place: Place, claim: Claim, test: str) -> Mapping[str, str]:
    """What commands of a target see in their environment."""
    return {
        "RUNYARD_TARGET": claim.target,
        "RUNYARD_DEVICE": place.name,
        "RUNYARD_APP_VERSION": claim.build,
        "RUNYARD_TEST": test,
    }
