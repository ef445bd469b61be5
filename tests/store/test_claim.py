"""Claim: who gets which job, in which order."""

import json

from runyard.clock import ManualClock
from runyard.domain.event import EventKind
from runyard.domain.job import AttemptState, State
from runyard.store import views
from runyard.store.database import Store
from runyard.store.openqueues import open_queues
from tests.store.support import (
    FAIL,
    LEASE,
    claim,
    finish,
    get,
    history,
    names,
    new,
    row,
    run_next,
    submit,
)


def test_a_claim_gives_all_that_is_needed_to_run_the_job(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, new("unit", max_attempts=3), batch="b-1")
    (claimed,) = claim(store)
    assert (claimed.seq, claimed.fence, claimed.slot) == (seq, 1, "s0")
    assert (claimed.id, claimed.name, claimed.batch_id) == (get(store, seq).id, "unit", "b-1")
    assert json.loads(claimed.spec)["max_attempts"] == 3
    assert claimed.lease_until == clock.now() + LEASE


def test_a_claimed_job_runs(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, "unit")
    clock.advance(3)
    claim(store, worker="w7")
    job = get(store, seq)
    assert (job.state, job.started_at) == (State.RUNNING, clock.now())
    (attempt,) = job.attempts
    assert (attempt.number, attempt.state) == (1, AttemptState.RUNNING)
    assert (attempt.worker, attempt.slot, attempt.started_at) == ("w7", "s0", clock.now())
    assert history(store, seq) == [EventKind.SUBMITTED, EventKind.CLAIMED]


def test_a_claimed_job_is_nobody_elses(store: Store) -> None:
    submit(store, "only")
    assert names(claim(store, worker="w1")) == ["only"]
    assert claim(store, worker="w2") == []


def test_each_free_slot_gets_one_job(store: Store) -> None:
    submit(store, "a", "b", "c")
    claimed = claim(store, 2)
    assert [(one.name, one.slot) for one in claimed] == [("a", "s0"), ("b", "s1")]
    assert names(claim(store, 2)) == ["c"]


def test_nothing_is_claimed_without_a_slot_or_a_job(store: Store) -> None:
    assert claim(store, 3) == []
    submit(store, "a")
    assert claim(store, 0) == []


def test_each_claim_of_a_job_raises_its_fence(store: Store, clock: ManualClock) -> None:
    submit(store, new("stubborn", max_attempts=9, retry_delay=0))
    fences = []
    for _ in range(3):
        (claimed,) = claim(store)
        fences.append(claimed.fence)
        finish(store, claimed, FAIL)
        with_promoted(store)
    assert fences == [1, 2, 3]


def with_promoted(store: Store) -> None:
    from runyard.store.schedule import promote

    store.write(promote)


# The order


def test_higher_priority_first_then_earlier_first(store: Store, clock: ManualClock) -> None:
    submit(store, new("low", priority=2), new("normal 1"), new("critical", priority=10))
    clock.advance(1)
    submit(store, "normal 2", new("high", priority=8))
    order = ["critical", "high", "normal 1", "normal 2", "low"]
    assert [names(claim(store))[0] for _ in order] == order


def test_waiting_makes_up_for_priority(store: Store, clock: ManualClock) -> None:
    submit(store, new("patient", priority=4))
    clock.advance(601)
    submit(store, new("normal", priority=5))
    assert names(claim(store, 2)) == ["patient", "normal"]


def test_the_longest_path_behind_a_job_decides_between_equals(store: Store) -> None:
    submit(store, new("short", bottom_level=1), new("long", bottom_level=4))
    assert names(claim(store, 2)) == ["long", "short"]


def test_of_high_priority_what_others_wait_for_goes_first_then_what_came_first(
    store: Store,
) -> None:
    fields = {"priority": 8, "expected": 5.0}
    submit(store, new("first", **fields, bottom_level=5.0))
    submit(store, new("long", priority=8, expected=50.0, bottom_level=50.0))
    submit(store, new("awaited", **fields, bottom_level=6.0))
    assert names(claim(store, 3)) == ["awaited", "first", "long"]


def test_the_order_is_the_same_across_groups(store: Store) -> None:
    submit(
        store,
        new("b2", org_id="b", priority=6),
        new("a1", org_id="a", priority=9),
        new("b1", org_id="b", priority=8),
        new("c1", org_id="c", priority=7),
        new("a2", org_id="a", priority=1),
    )
    assert names(claim(store, 2)) == ["a1", "b1"]
    assert names(claim(store, 3)) == ["c1", "b2", "a2"]


def test_the_longest_path_decides_between_equals_of_different_groups(store: Store) -> None:
    submit(
        store,
        new("short", org_id="a", bottom_level=1),
        new("long", org_id="b", bottom_level=4),
    )
    assert names(claim(store)) == ["long"]


def test_a_job_that_comes_back_keeps_its_place(store: Store, clock: ManualClock) -> None:
    from runyard.store.leases import expire_workers

    submit(store, "first", "second")
    claim(store, worker="dead")
    clock.advance(60)
    submit(store, "third")
    store.write(lambda tx: expire_workers(tx, ["dead"]))
    assert names(claim(store, 3)) == ["first", "second", "third"]


# Who may claim what


def test_a_worker_claims_only_for_the_targets_it_serves(store: Store) -> None:
    submit(store, new("phone", target="device"), new("here", target="local"))
    assert claim(store, 5, targets=frozenset({"browserstack"})) == []
    assert names(claim(store, 5, targets=frozenset({"device"}))) == ["phone"]
    assert names(claim(store, 5)) == ["here"]


def test_a_full_queue_of_another_target_hides_nothing(store: Store) -> None:
    submit(store, *(new("phone", target="device", priority=10) for _ in range(50)))
    submit(store, new("here", target="local", priority=0))
    assert names(claim(store, 2, targets=frozenset({"local"}))) == ["here"]


def test_a_pool_is_kept_for_those_who_serve_it(store: Store) -> None:
    submit(store, "mine", pool="run-1")
    submit(store, "everybody's")
    assert names(claim(store, 5)) == ["everybody's"]
    assert names(claim(store, 5, pools=frozenset({"run-1"}))) == ["mine"]


def test_a_worker_of_several_pools_takes_the_best_of_them(store: Store) -> None:
    submit(store, new("mine", priority=1), pool="run-1")
    submit(store, new("everybody's", priority=9))
    assert names(claim(store, 5, pools=frozenset({"", "run-1"}))) == ["everybody's", "mine"]


def test_only_queued_jobs_are_claimed(store: Store, clock: ManualClock) -> None:
    submit(store, "first", new("blocked", needs=[0]), new("later", run_after=clock.now() + 9))
    assert names(claim(store, 5)) == ["first"]
    assert claim(store, 5) == []


# Open groups


def test_open_queues_are_those_with_queued_jobs(store: Store) -> None:
    submit(store, new("a", org_id="a"), new("b", org_id="b", target="device"))
    submit(store, new("c", org_id="c"), pool="run-1")
    run_next(store)
    with store.read() as tx:
        assert [group.target for group in open_queues(tx, frozenset({""}))] == ["device"]
        assert len(open_queues(tx)) == 2


def test_the_first_start_is_remembered_over_all_attempts(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, new("twice", max_attempts=2, retry_delay=0))
    began = clock.now()
    run_next(store, FAIL)
    with_promoted(store)
    clock.advance(10)
    claim(store)
    assert (row(store, seq).started_at, row(store, seq).claimed_at) == (began, clock.now())
    with store.read() as tx:
        assert [a.number for a in views.get(tx, seq).attempts] == [1, 2]
