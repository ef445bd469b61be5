"""Leases: who keeps a job, who loses it, and when."""

from runyard.clock import ManualClock
from runyard.domain.event import EventKind
from runyard.domain.job import AttemptState, Reason, State
from runyard.store import claim as claims
from runyard.store import control, registry
from runyard.store.claim import Claim, Claimer
from runyard.store.database import Store
from runyard.store.leases import Renewed, cancels, expire, expire_workers, renew
from runyard.store.registry import WorkerInfo
from runyard.store.yard import FreeSlot
from tests.store.support import (
    LEASE,
    batch,
    claim,
    finish,
    get,
    history,
    names,
    new,
    row,
    states,
    submit,
)


def keys(*claimed: Claim) -> set[tuple[int, int]]:
    return {(one.seq, one.fence) for one in claimed}


def renewed(store: Store, worker: str = "w1", seconds: float = LEASE) -> Renewed:
    return store.write(lambda tx: renew(tx, worker, seconds))


def expired(store: Store) -> list[int]:
    return [move.seq for move in store.write(expire)]


# Renewing


def test_a_renewed_lease_lasts_a_whole_lease_from_now(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, "unit")
    claim(store)
    clock.advance(LEASE - 1)
    renewed(store)
    clock.advance(LEASE - 1)
    assert expired(store) == []
    assert row(store, seq).lease_until == clock.now() + 1


def test_all_leases_of_a_worker_are_renewed_and_nobody_elses(store: Store) -> None:
    submit(store, "a", "b", "c")
    mine = claim(store, 2, worker="w1")
    theirs = claim(store, 1, worker="w2")
    assert renewed(store, "w1").held == keys(*mine)
    assert renewed(store, "w2").held == keys(*theirs)
    assert renewed(store, "w3").held == frozenset()


def test_a_lease_that_was_taken_back_is_not_renewed(store: Store, clock: ManualClock) -> None:
    submit(store, "unit")
    claim(store, worker="w1")
    clock.advance(LEASE + 1)
    expired(store)
    assert renewed(store, "w1").held == frozenset()
    current = claim(store, worker="w2")
    assert renewed(store, "w1").held == frozenset()
    assert renewed(store, "w2").held == keys(*current)


def test_a_lease_that_ran_out_while_the_host_slept_is_renewed(
    store: Store, clock: ManualClock
) -> None:
    submit(store, "unit")
    claimed = claim(store)
    clock.jump(8 * 3600)
    assert renewed(store).held == keys(*claimed)
    assert expired(store) == []


def test_a_finished_job_has_no_lease(store: Store) -> None:
    submit(store, "unit")
    (claimed,) = claim(store)
    finish(store, claimed)
    assert renewed(store).held == frozenset()


def test_a_renewal_tells_which_jobs_to_cancel(store: Store) -> None:
    submit(store, "a", "b")
    a, b = claim(store, 2)
    store.write(lambda tx: control.cancel(tx, [a.seq]))
    answer = renewed(store)
    assert (answer.held, answer.cancel) == (keys(a, b), keys(a))


def test_cancellations_can_be_asked_for_without_renewing(store: Store) -> None:
    submit(store, "a", "b")
    a, _ = claim(store, 2)
    store.write(lambda tx: control.cancel(tx, [a.seq]))
    with store.read() as tx:
        assert cancels(tx, "w1") == keys(a)
        assert cancels(tx, "w2") == set()


def test_a_renewal_shows_that_the_worker_lives(store: Store, clock: ManualClock) -> None:
    store.write(lambda tx: registry.sign_on(tx, WorkerInfo("w1", "host", 1, slots=1)))
    clock.advance(100)
    renewed(store)
    with store.read() as tx:
        (seen,) = registry.live(tx, clock.now())
    assert seen.seen_at == clock.now()


# Expiring


def test_a_lease_is_over_only_after_its_end(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, "unit")
    claim(store)
    clock.advance(LEASE)
    assert expired(store) == []
    clock.advance(0.001)
    assert expired(store) == [seq]
    assert expired(store) == []


def test_a_lost_job_is_queued_again(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, new("unit", max_attempts=1))
    claim(store, worker="w1")
    clock.advance(LEASE + 1)
    expired(store)
    (attempt,) = get(store, seq).attempts
    assert (attempt.number, attempt.state, attempt.worker) == (1, AttemptState.LOST, "w1")
    assert history(store, seq)[-1] is EventKind.LOST
    (current,) = claim(store, worker="w2")
    assert current.fence == 2


def test_a_job_that_takes_three_workers_down_fails_as_lost(
    store: Store, clock: ManualClock
) -> None:
    seq, child = submit(store, "killer", new("child", needs=[0]), batch="b-1")
    for _ in range(3):
        assert states(store, seq) == [State.QUEUED]
        claim(store)
        clock.advance(LEASE + 1)
        expired(store)
    job = get(store, seq)
    assert (job.state, job.reason) == (State.FAILED, Reason.LOST)
    assert states(store, child) == [State.SKIPPED]
    counted = batch(store, "b-1")
    assert (counted.failed, counted.skipped, counted.waiting) == (1, 1, 0)


def test_a_lost_job_that_was_to_be_cancelled_is_cancelled(store: Store, clock: ManualClock) -> None:
    seq, child = submit(store, "unit", new("child", needs=[0]))
    claim(store)
    store.write(lambda tx: control.cancel(tx, [seq]))
    clock.advance(LEASE + 1)
    expired(store)
    assert states(store, seq, child) == [State.CANCELLED, State.SKIPPED]


def test_only_leases_that_ran_out_are_taken_back(store: Store, clock: ManualClock) -> None:
    old, young = submit(store, "old", "young")
    claim(store, worker="w1")
    clock.advance(LEASE - 5)
    claim(store, worker="w2")
    clock.advance(10)
    assert expired(store) == [old]
    assert states(store, young) == [State.RUNNING]


def claim_behind(store: Store) -> None:
    """One more for the slot that has something already."""
    claim(store, 1)


def test_what_waited_behind_another_took_nobody_down(store: Store, clock: ManualClock) -> None:
    first, second, third = submit(store, "first", "second", "third")
    claim(store)
    clock.advance(1)
    claim_behind(store)
    claim_behind(store)
    clock.advance(LEASE)
    assert set(expired(store)) == {first, second, third}, "though their own leases end later"
    assert [row(store, seq).losses for seq in (first, second, third)] == [1, 0, 0]
    assert [len(get(store, seq).attempts) for seq in (first, second, third)] == [1, 0, 0]
    assert history(store, second)[-1] is EventKind.RELEASED
    assert row(store, second).avoids is None
    again = claim(store, 3, worker="w2")
    assert [(one.fence, one.number) for one in again] == [(2, 2), (2, 1), (2, 1)]


def test_nor_of_a_worker_that_is_known_to_be_dead(store: Store) -> None:
    first, second = submit(store, "first", new("second", priority=4))
    claim(store)
    claim_behind(store)
    store.write(lambda tx: expire_workers(tx, {"w1"}))
    assert [row(store, seq).losses for seq in (first, second)] == [1, 0]


def test_what_waited_behind_another_is_cancelled_if_it_was_to_be(store: Store) -> None:
    first, second = submit(store, "first", "second")
    claim(store)
    claim_behind(store)
    store.write(lambda tx: control.cancel(tx, [first, second]))
    store.write(lambda tx: expire_workers(tx, {"w1"}))
    assert states(store, first, second) == [State.CANCELLED, State.CANCELLED]
    assert [len(get(store, seq).attempts) for seq in (first, second)] == [1, 0]


def test_other_slots_of_a_worker_keep_leases_that_are_good(
    store: Store, clock: ManualClock
) -> None:
    old, young = submit(store, "old", "young")
    who = Claimer("w1", LEASE)
    store.write(lambda tx: claims.claim(tx, who, [FreeSlot("s1")]))
    clock.advance(LEASE - 5)
    store.write(lambda tx: claims.claim(tx, who, [FreeSlot("s2")]))
    clock.advance(10)
    assert expired(store) == [old]
    assert states(store, young) == [State.RUNNING]


def test_leases_of_dead_workers_are_taken_back_before_they_end(store: Store) -> None:
    first, second, third = submit(store, "a", "b", "c")
    for worker in ("w1", "w2", "w3"):
        claim(store, worker=worker)
    moves = store.write(lambda tx: expire_workers(tx, {"w1", "w3", "nobody"}))
    assert {move.seq for move in moves} == {first, third}
    assert states(store, first, second, third) == [State.QUEUED, State.RUNNING, State.QUEUED]
    assert store.write(lambda tx: expire_workers(tx, [])) == []


def test_a_hundred_lost_jobs_at_once(store: Store, clock: ManualClock) -> None:
    seqs = submit(store, *("unit" for _ in range(100)), batch="b-1")
    claim(store, 100)
    clock.advance(LEASE + 1)
    assert expired(store) == seqs
    assert names(claim(store, 200)) == ["unit"] * 100
