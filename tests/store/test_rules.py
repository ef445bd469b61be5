"""Pauses and limits: what they hold back, and that they are never passed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from runyard.clock import ManualClock
from runyard.errors import Conflict
from runyard.policy.choose import TURN
from runyard.policy.fits import Rules, Scope
from runyard.store import claim as claims
from runyard.store import control, rules, stay, tallies
from runyard.store.claim import Claim, Claimer
from runyard.store.database import Store
from runyard.store.openqueues import open_queues
from runyard.store.registry import WorkerInfo, sign_on
from runyard.store.yard import FreeSlot
from tests.store.support import (
    FAIL,
    LEASE,
    claim,
    finish,
    get,
    history,
    in_parallel,
    names,
    new,
    row,
    submit,
)


def limit(store: Store, scope: Scope, name: str, maximum: int | None) -> None:
    store.write(lambda tx: rules.limit(tx, scope, name, maximum))


def in_force(store: Store) -> Rules:
    with store.read() as tx:
        return rules.read(tx, lock=False)


WHOSE: list[tuple[Scope, str, dict[str, Any], dict[str, Any]]] = [
    (Scope.USER, "ann", {"submitted_by": "ann"}, {"submitted_by": "bob"}),
    (Scope.ORG, "acme", {"org_id": "acme"}, {"org_id": "other"}),
    (Scope.TARGET, "rack", {"target": "rack"}, {"target": "local"}),
    (Scope.KEY, "db", {"limit_key": "db"}, {}),
]


class TestLimits:
    @pytest.mark.parametrize(("scope", "name", "limited", "free"), WHOSE)
    def test_they_hold_back_what_they_are_about_and_nothing_behind_it(
        self, store: Store, scope: Scope, name: str, limited: Any, free: Any
    ) -> None:
        limit(store, scope, name, 1)
        submit(store, *(new(f"l{n}", priority=9, **limited) for n in range(3)))
        submit(store, new("free", priority=0, **free))
        first = claim(store, 4)
        assert sorted(names(first)) == ["free", "l0"]
        assert claim(store, 4) == []
        finish(store, next(one for one in first if one.name == "l0"))
        assert names(claim(store, 4)) == ["l1"]

    def test_a_place_cannot_leak(self, store: Store, clock: ManualClock) -> None:
        from runyard.store.leases import expire

        limit(store, Scope.KEY, "db", 1)
        submit(store, new("a", limit_key="db", max_attempts=1))
        claim(store)
        clock.advance(LEASE + 1)
        store.write(expire)
        (again,) = claim(store)
        finish(store, again, FAIL)
        submit(store, new("b", limit_key="db"))
        assert names(claim(store)) == ["b"]

    def test_a_submission_may_bring_its_limit(self, store: Store) -> None:
        submit(store, *(new(limit_key="db", limit=2) for _ in range(5)))
        assert in_force(store).maximum == {(Scope.ORG_KEY, "default/db"): 2}
        assert len(claim(store, 5)) == 2

    def test_what_a_submission_brings_holds_for_its_own_org(self, store: Store) -> None:
        orgs = ("acme", "a/b", "a%2Fb", "a")
        for org in orgs:
            submit(store, *(new(org_id=org, limit_key="b/db", limit=1) for _ in range(2)))
        assert len(claim(store, 9)) == len(orgs)
        limit(store, Scope.KEY, "b/db", len(orgs))
        submit(store, new(org_id="another", limit_key="b/db"))
        assert claim(store, 9) == [], "a limit of the key of all is full"

    def test_they_can_be_changed_and_lifted(self, store: Store) -> None:
        submit(store, *(new(limit_key="db", limit=1) for _ in range(5)))
        assert len(claim(store, 5)) == 1
        limit(store, Scope.ORG_KEY, "default/db", 3)
        assert len(claim(store, 5)) == 2
        limit(store, Scope.ORG_KEY, "default/db", None)
        assert len(claim(store, 5)) == 2

    def test_zero_lets_nothing_start(self, store: Store) -> None:
        limit(store, Scope.ORG, "default", 0)
        submit(store, "a")
        assert claim(store) == []

    def test_many_who_claim_at_once_never_pass_one(self, store: Store) -> None:
        limit(store, Scope.KEY, "db", 3)
        submit(store, *(new(limit_key="db", submitted_by=f"u{n % 4}") for n in range(40)))
        most = 0

        def work(worker: str) -> int:
            nonlocal most
            done = 0
            for _ in range(30):
                mine = claim(store, 2, worker)
                with store.read() as tx:
                    most = max(most, rules.read(tx, lock=False).running[Scope.KEY, "db"])
                for one in mine:
                    finish(store, one)
                done += len(mine)
            return done

        done = in_parallel(*(lambda w=w: work(f"w{w}") for w in range(4)))
        assert most <= 3
        assert sum(done) == 40


class TestPauses:
    @pytest.mark.parametrize(("scope", "name"), [(Scope.ORG, "acme"), (Scope.TARGET, "rack")])
    def test_what_is_paused_waits_and_the_rest_does_not(
        self, store: Store, scope: Scope, name: str
    ) -> None:
        submit(store, new("held", org_id="acme", target="rack", priority=9), new("free"))
        assert store.write(lambda tx: rules.pause(tx, scope, name))
        assert not store.write(lambda tx: rules.pause(tx, scope, name))
        assert names(claim(store, 2)) == ["free"]
        assert store.write(lambda tx: rules.resume(tx, scope, name))
        assert not store.write(lambda tx: rules.resume(tx, scope, name))
        assert names(claim(store, 2)) == ["held"]

    def test_a_group_by_its_number(self, store: Store) -> None:
        submit(store, new("held", app_version_id="v1"))
        group = str(in_group(store))
        store.write(lambda tx: rules.pause(tx, Scope.GROUP, group))
        assert claim(store) == []


def in_group(store: Store) -> int:
    with store.read() as tx:
        (queue,) = open_queues(tx)
        return queue.group_id


class TestPriority:
    def test_a_waiting_job_can_be_moved_in_line(self, store: Store) -> None:
        first, second = submit(store, "first", "second")
        store.write(lambda tx: control.set_priority(tx, second, 8))
        assert get(store, second).priority == 8
        assert history(store, second)[-1] == "priority"
        assert names(claim(store, 2)) == ["second", "first"]
        assert row(store, first).priority == 5

    def test_its_length_counts_as_it_does_for_others_of_that_priority(self, store: Store) -> None:
        long = {"expected": 50.0, "bottom_level": 50.0}
        first, second = submit(
            store, new("short", expected=5.0, bottom_level=5.0), new("long", **long)
        )
        for seq in (first, second):
            store.write(lambda tx, seq=seq: control.set_priority(tx, seq, 8))
        assert names(claim(store)) == ["short"]
        store.write(lambda tx: control.set_priority(tx, second, 5))
        submit(store, new("middle", expected=20.0, bottom_level=20.0))
        assert names(claim(store, 2)) == ["long", "middle"]

    def test_what_it_has_waited_still_counts(self, store: Store, clock: ManualClock) -> None:
        (old,) = submit(store, new("old", priority=2))
        clock.advance(3 * 600)
        submit(store, "fresh")
        store.write(lambda tx: control.set_priority(tx, old, 4))
        assert names(claim(store, 2)) == ["old", "fresh"]

    def test_one_that_runs_or_has_ended_cannot(self, store: Store) -> None:
        (seq,) = submit(store, "a")
        (claimed,) = claim(store)
        with pytest.raises(Conflict, match="is running: only one that waits"):
            store.write(lambda tx: control.set_priority(tx, seq, 8))
        finish(store, claimed)
        with pytest.raises(Conflict, match="is passed: only one that waits"):
            store.write(lambda tx: control.set_priority(tx, seq, 8))


class TestShares:
    """Slots of one class go to whoever has used least."""

    def test_orgs_take_turns(self, store: Store, clock: ManualClock) -> None:
        submit(store, *(new("a", org_id="a", expected=10.0) for _ in range(8)))
        submit(store, *(new("b", org_id="b", expected=10.0) for _ in range(4)))
        assert self.order(store, clock, 6).count("a") == 3

    def test_submitters_of_an_org_take_turns(self, store: Store, clock: ManualClock) -> None:
        submit(store, *(new("ann", submitted_by="ann", expected=10.0) for _ in range(8)))
        submit(store, *(new("bob", submitted_by="bob", expected=10.0) for _ in range(4)))
        assert self.order(store, clock, 6).count("ann") == 3

    def test_weights_divide(self, store: Store, clock: ManualClock) -> None:
        submit(store, *(new("a", org_id="a", expected=10.0) for _ in range(12)))
        submit(store, *(new("b", org_id="b", expected=10.0) for _ in range(12)))
        assert self.order(store, clock, 12, weights={"a": 2.0}).count("a") == 8

    def test_usage_is_kept_when_tallies_are_folded(self, store: Store, clock: ManualClock) -> None:
        submit(store, *(new("a", org_id="a", expected=10.0) for _ in range(8)))
        self.order(store, clock, 4)
        store.write(tallies.fold)
        submit(store, *(new("b", org_id="b", expected=10.0) for _ in range(8)))
        assert self.order(store, clock, 4) == ["b"] * 4

    def order(self, store: Store, clock: ManualClock, count: int, **claimer: Any) -> list[str]:
        found = []
        for _ in range(count):
            (claimed,) = claim(store, **claimer)
            clock.advance(10.0)
            finish(store, claimed)
            found.append(claimed.name)
        return found


class TestHolders:
    """A worker with two emulators."""

    @pytest.fixture(autouse=True)
    def worker(self, store: Store) -> None:
        places = (("e1", "emulator"), ("e2", "emulator"))
        info = WorkerInfo("w1", "host", 1, 2, places=places)
        store.write(lambda tx: sign_on(tx, info))

    def claim(self, store: Store, *slots: FreeSlot, **claimer: Any) -> list[Claim]:
        who = Claimer("w1", LEASE, **claimer)
        return store.write(lambda tx: claims.claim(tx, who, slots))

    def test_a_slot_stays_with_its_group(self, store: Store) -> None:
        builds = [new(b, app_version_id=b, target="emulator") for b in ("v1", "v2") * 3]
        submit(store, *builds)
        slot, order = FreeSlot("e1", "emulator"), []
        for _ in builds:
            (claimed,) = self.claim(store, slot)
            order.append((claimed.build, claimed.installs))
            slot = FreeSlot("e1", "emulator", claimed.group_id)
            finish(store, claimed)
        builds_in_order = [build for build, _ in order]
        assert builds_in_order in (["v1"] * 3 + ["v2"] * 3, ["v2"] * 3 + ["v1"] * 3)
        assert [installs for _, installs in order] == [True, False, False] * 2

    def test_two_slots_that_claim_at_once_take_two_groups(self, store: Store) -> None:
        submit(store, *(new(app_version_id=b, target="emulator") for b in ("v1", "v2") * 3))
        taken = in_parallel(
            lambda: self.claim(store, FreeSlot("e1", "emulator")),
            lambda: self.claim(store, FreeSlot("e2", "emulator")),
        )
        assert sorted(one.build for some in taken for one in some) == ["v1", "v2"]

    def test_a_group_may_be_kept_to_one_slot(self, store: Store) -> None:
        jobs = [new(app_version_id="v1", target="emulator", expected=1e4) for _ in range(9)]
        submit(store, *jobs)
        slots = (FreeSlot("e1", "emulator"), FreeSlot("e2", "emulator"))
        assert len(self.claim(store, *slots, group_slots={"emulator": 1})) == 1
        assert len(self.claim(store, slots[1])) == 1

    def test_a_stream_of_others_starves_nobody(self, store: Store, clock: ManualClock) -> None:
        """Three classes below, it is the best of all after four ageing steps, and not before the
        third: till then the slot stays with the build that is on it."""
        submit(store, new("old", app_version_id="v2", target="emulator", priority=2))
        began, slot = clock.now(), FreeSlot("e1", "emulator")
        for _ in range(200):
            submit(store, new("fresh", app_version_id="v1", target="emulator", expected=60.0))
            (claimed,) = self.claim(store, slot)
            if claimed.name == "old":
                break
            clock.advance(60.0)
            finish(store, claimed)
            slot = FreeSlot("e1", "emulator", claimed.group_id)
        assert 3 * 600 <= clock.now() - began <= 4 * 600

    @pytest.mark.parametrize("seed", range(12))
    def test_the_short_way_to_stay_chooses_as_policy_does(
        self, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, seed: int
    ) -> None:
        dice = random.Random(seed)
        builds = [f"v{n}" for n in range(3)]
        submit(
            store,
            *(
                new(
                    app_version_id=dice.choice(builds),
                    target="emulator",
                    priority=dice.choice([5, 5, 5, 8]),
                    expected=float(dice.randint(1, 90)),
                    submitted_by=dice.choice(["ann", "ann", "ann", "bob"]),
                )
                for _ in range(12)
            ),
        )
        held: dict[str, int] = {}
        short, stayed = stay.picks, 0
        while True:
            free = [FreeSlot(name, "emulator", held.get(name)) for name in ("e1", "e2")]
            free = free[: dice.randint(1, 2)]
            with store.read() as tx:
                staying = short(tx, "w1", free)
            monkeypatch.setattr(stay, "picks", lambda *_: None)
            claimed = self.claim(store, *free)
            if staying is not None:
                stayed += 1
                assert [(pick.slot.name, pick.seq) for pick in staying] == [
                    (one.slot, one.seq) for one in claimed
                ]
                assert not any(one.installs for one in claimed)
            for one in claimed:
                held[one.slot] = one.group_id
                clock.advance(7.0)
                finish(store, one)
            if not claimed:
                break
        assert stayed

    def test_policy_decides_wherever_there_is_a_choice(
        self, store: Store, clock: ManualClock
    ) -> None:
        build = {"app_version_id": "v1", "target": "emulator"}
        submit(store, *(new(**build) for _ in range(4)))
        (first,) = self.claim(store, FreeSlot("e1", "emulator"))
        here = FreeSlot("e1", "emulator", first.group_id)
        there = FreeSlot("e2", "emulator", first.group_id)

        def decides(*slots: FreeSlot) -> bool:
            with store.read() as tx:
                return stay.picks(tx, "w1", slots) is None

        assert not decides(here)
        assert decides(FreeSlot("e1", "emulator")), "nothing is installed"
        assert decides(here, there), "two want its next job"
        assert decides(FreeSlot("1", None, first.group_id, excludes=frozenset({"emulator"})))
        store.write(lambda tx: rules.pause(tx, Scope.ORG, "another"))
        assert decides(here), "something is paused"
        store.write(lambda tx: rules.resume(tx, Scope.ORG, "another"))
        limit(store, Scope.KEY, "db", 1)
        assert decides(here), "something is limited"
        limit(store, Scope.KEY, "db", None)
        assert not decides(here)
        clock.advance(60.0 + TURN)
        assert decides(here), "its turn is over"
        clock.advance(-TURN)
        submit(store, new(**build, submitted_by="bob"))
        assert decides(here), "two share the group"
        (seq,) = submit(store, new(priority=8))
        assert decides(here), "something is of a higher class"
        assert seq


def test_what_jobs_ask_for_leaves_a_limit_that_was_set_by_hand(store: Store) -> None:
    def maximum() -> int:
        with store.read() as tx:
            return rules.read(tx, lock=False).maximum[Scope.ORG_KEY, "default/db"]

    submit(store, new(limit_key="db", limit=3))
    submit(store, new(limit_key="db", limit=5))
    assert maximum() == 5, "the last one said holds"
    store.write(lambda tx: rules.limit(tx, Scope.ORG_KEY, "default/db", 2))
    submit(store, new(limit_key="db", limit=9))
    assert maximum() == 2
    store.write(lambda tx: rules.limit(tx, Scope.ORG_KEY, "default/db", None))
    submit(store, new(limit_key="db", limit=9))
    assert maximum() == 9
