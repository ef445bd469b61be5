"""Why a queued job waits: each reason, its place in line, its expected start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runyard.clock import ManualClock
from runyard.domain.explanation import Explanation
from runyard.domain.slot import SlotState
from runyard.policy.choose import AGEING_STEP
from runyard.policy.fits import Scope
from runyard.service.explain import explain
from runyard.service.waiting import Reckoning
from runyard.store import health, registry, rules
from runyard.store.claim import Claim, Claimer
from runyard.store.claim import claim as claim_for
from runyard.store.database import Store
from runyard.store.leases import renew
from runyard.store.registry import WorkerInfo
from runyard.store.submit import submit
from runyard.store.upgrade import upgrade
from runyard.store.yard import FreeSlot
from tests.store.support import new

LEASE = 30.0


class Yard:
    """A store with a worker that has two emulators; its time stands still."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        places = (("e1", "emulator"), ("e2", "emulator"), ("1", None))
        info = WorkerInfo("w", "host", 1, 3, places=places)
        store.write(lambda tx: registry.sign_on(tx, info))

    def submit(self, build: str = "v1", **fields: Any) -> str:
        fields = {"target": "emulator", "expected": 20.0, "bottom_level": 20.0} | fields
        job = new(app_version_id=build, **fields)
        self.store.write(lambda tx: submit(tx, [job]))
        return job.id

    def claim(self, *slots: FreeSlot) -> list[Claim]:
        return self.store.write(lambda tx: claim_for(tx, Claimer("w", LEASE), slots))

    def explain(self, job: str) -> Explanation:
        return explain(self.store, job, Reckoning(LEASE))

    def set_state(self, slot: str, state: SlotState, reason: str | None = None) -> None:
        self.store.write(lambda tx: health.set_state(tx, slot, state, reason))


E1 = FreeSlot("e1", "emulator")
E2 = FreeSlot("e2", "emulator")


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    clock = ManualClock()
    store = Store(f"sqlite:///{tmp_path}/runyard.db", clock)
    upgrade(store)
    yield Yard(store, clock)
    store.close()


def test_the_next_one_starts_at_once(yard: Yard) -> None:
    found = yard.explain(yard.submit())
    assert found.text.endswith("it is the next one; expected to start at once")
    assert (found.code, found.ahead) == ("busy", 0)


def test_slots_are_taken(yard: Yard) -> None:
    first, second = yard.submit("v1"), yard.submit("v2")
    assert len(yard.claim(E1, E2)) == 2
    found = yard.explain(yard.submit("v3"))
    assert found.code == "busy"
    assert found.text == (
        "queued: the 2 slots of 1 worker are taken; it is the next one; "
        "expected to start in about 80 s (48 s to 2 min)"  # the install included
    )
    assert found.starts_at == pytest.approx(yard.store.write(lambda tx: tx.now) + 80.0)
    assert {yard.explain(job).code for job in (first, second)} == {"running"}


def test_its_group_drains(yard: Yard) -> None:
    jobs = [yard.submit() for _ in range(3)]
    yard.claim(E1)
    found = yard.explain(jobs[2])
    assert found.code == "group"
    assert found.held_by == ["e1"]
    assert "its build is on e1, where the jobs of its group run; 1 job before it" in found.text


def test_others_are_of_higher_class(yard: Yard) -> None:
    low = yard.submit(priority=2)
    for _ in range(3):
        yard.submit("v2", priority=8)
    found = yard.explain(low)
    assert found.code == "behind"
    assert found.text.startswith("queued: behind 3 jobs of higher class; ")


def test_a_backlog_that_is_older_is_not_of_higher_class_for_another_org(yard: Yard) -> None:
    for _ in range(3):
        yard.submit("v2", org_id="early")
    yard.clock.advance(3 * AGEING_STEP)
    yard.store.write(lambda tx: renew(tx, "w", LEASE))
    late, mine = yard.submit(org_id="late"), yard.submit("v3", org_id="early")
    assert yard.explain(late).code == "busy"
    assert "behind 3 jobs of higher class" in yard.explain(mine).text


def test_a_limit_is_full(yard: Yard) -> None:
    yard.store.write(lambda tx: rules.limit(tx, Scope.KEY, "db", 1))
    first, second = yard.submit(limit_key="db"), yard.submit(limit_key="db")
    yard.claim(E1)
    found = yard.explain(second)
    assert found.code == "limit"
    assert found.held_by == [first]
    assert f"the limit of key db is full (1 of 1), held by {first}" in found.text
    assert "expected to start in about 80 s" in found.text


@pytest.mark.parametrize(
    ("scope", "name"), [(Scope.ORG, "default"), (Scope.TARGET, "emulator"), (Scope.GROUP, "1")]
)
def test_somebody_paused_it(yard: Yard, scope: Scope, name: str) -> None:
    job = yard.submit()
    yard.store.write(lambda tx: rules.pause(tx, scope, name))
    yard.clock.advance(120)
    yard.store.write(lambda tx: renew(tx, "w", LEASE))
    found = yard.explain(job)
    assert found.code == "paused"
    assert f"{scope} {name} has been paused for 2 min" in found.text
    assert found.starts_at is None


def test_nobody_serves_its_target(yard: Yard) -> None:
    store = yard.store
    narrow = WorkerInfo("w", "host", 1, 1, targets=("emulator",), places=(("e1", "emulator"),))
    store.write(lambda tx: registry.sign_off(tx, ["w"]))
    job = yard.submit(target="rack")
    assert yard.explain(job).code == "no_worker"
    store.write(lambda tx: registry.sign_on(tx, narrow))
    found = yard.explain(job)
    assert (found.code, found.ahead) == ("no_target", 0)
    assert found.text.startswith("queued: no worker serves target rack; ")


def test_all_its_devices_are_out_of_order(yard: Yard) -> None:
    yard.set_state("e1", SlotState.QUARANTINED, "the check ended with exit code 1")
    yard.set_state("e2", SlotState.DRAINING, "drained by hand")
    found = yard.explain(yard.submit())
    assert found.code == "no_device"
    assert "e1 has been quarantined for 0 s" in found.text
    assert "(the check ended with exit code 1), e2 has been draining for" in found.text


def test_one_of_its_devices_is_out_of_order(yard: Yard) -> None:
    yard.set_state("e1", SlotState.QUARANTINED, "no answer")
    yard.submit()
    yard.claim(E2)
    found = yard.explain(yard.submit("v2"))
    assert "e1 has been quarantined for" in found.text
    assert found.text.endswith("expected to start in about 80 s (48 s to 2 min)")


def test_a_drained_device_keeps_its_group_from_nobody(yard: Yard) -> None:
    for _ in range(2):
        yard.submit(expected=5.0, bottom_level=5.0)
    (first,) = yard.claim(E1)
    assert first.installs
    yard.set_state("e1", SlotState.DRAINING)
    (second,) = yard.claim(E1, E2)
    assert (second.slot, second.installs) == ("e2", True)


def test_a_worker_that_is_gone_keeps_its_group_from_nobody(yard: Yard) -> None:
    clock = yard.store._clock
    assert isinstance(clock, ManualClock)
    other = WorkerInfo("gone", "elsewhere", 1, 1, places=(("x", "emulator"),))
    yard.store.write(lambda tx: registry.sign_on(tx, other))
    for _ in range(2):
        yard.submit()
    slot = FreeSlot("x", "emulator")
    assert yard.store.write(lambda tx: claim_for(tx, Claimer("gone", LEASE), [slot]))
    clock.advance(50)  # in 30 s it is through with its job, and 20 s later with the other
    assert yard.claim(E1) == []
    clock.advance(3 * LEASE)
    assert len(yard.claim(E1)) == 1
