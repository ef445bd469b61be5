"""Promote: delayed jobs are queued when their time has come, not before."""

from runyard.clock import ManualClock
from runyard.domain.event import EventKind
from runyard.domain.job import State
from runyard.store.database import Store
from runyard.store.schedule import is_expecting, next_due, promote
from tests.store.support import claim, history, names, new, states, submit


def due(store: Store) -> float | None:
    with store.read() as tx:
        return next_due(tx)


def test_a_job_is_queued_when_its_time_has_come(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, new("later", run_after=clock.now() + 60))
    clock.advance(59.9)
    assert store.write(promote) == 0
    clock.advance(0.1)
    assert store.write(promote) == 1
    assert states(store, seq) == [State.QUEUED]
    assert history(store, seq) == [EventKind.SUBMITTED, EventKind.PROMOTED]
    assert store.write(promote) == 0


def test_only_what_is_due_is_queued(store: Store, clock: ManualClock) -> None:
    submit(store, *(new(f"in {n}", run_after=clock.now() + n) for n in (30, 10, 20)))
    clock.advance(20)
    assert store.write(promote) == 2
    assert sorted(names(claim(store, 5))) == ["in 10", "in 20"]


def test_a_promoted_job_has_aged_since_its_submission(store: Store, clock: ManualClock) -> None:
    submit(store, new("first", run_after=clock.now() + 60))
    clock.advance(1)
    submit(store, "second")
    clock.advance(60)
    store.write(promote)
    assert names(claim(store, 2)) == ["first", "second"]


def test_the_next_due_time_is_known(store: Store, clock: ManualClock) -> None:
    assert due(store) is None
    submit(store, "now", *(new("later", run_after=clock.now() + n) for n in (30, 10)))
    assert due(store) == 10.0
    clock.advance(15)
    assert due(store) == 0.0
    store.write(promote)
    assert due(store) == 15.0


def test_a_blocked_job_is_not_due_before_its_dependencies(store: Store, clock: ManualClock) -> None:
    _, blocked = submit(store, "first", new("second", needs=[0], run_after=clock.now() + 5))
    assert due(store) is None
    clock.advance(10)
    assert store.write(promote) == 0
    assert states(store, blocked) == [State.BLOCKED]


def test_more_than_a_thousand_due_jobs_take_several_rounds(
    store: Store, clock: ManualClock
) -> None:
    submit(store, *(new("later", run_after=clock.now() + 1) for _ in range(1500)))
    clock.advance(1)
    assert [store.write(promote) for _ in range(3)] == [1000, 500, 0]
    assert len(claim(store, 2000)) == 1500


def expects(store: Store, pool: str = "", target: str | None = None) -> bool:
    with store.read() as tx:
        return is_expecting(tx, frozenset({pool}), target and frozenset({target}))


def test_a_worker_can_expect_what_is_queued_for_it(store: Store) -> None:
    assert not expects(store)
    submit(store, new("unit", target="device"))
    assert expects(store)
    assert expects(store, target="device")
    assert not expects(store, target="local")
    assert not expects(store, pool="run-1")
    claim(store)
    assert not expects(store), "what others run is not to be expected"


def test_a_worker_can_expect_what_is_for_later(store: Store, clock: ManualClock) -> None:
    submit(store, new("later", run_after=clock.now() + 9))
    assert expects(store)
    clock.advance(10)
    assert expects(store)
    store.write(promote)
    assert expects(store)


def test_a_worker_cannot_expect_what_waits_for_others(store: Store) -> None:
    submit(store, "first", new("second", needs=[0]))
    claim(store)
    assert not expects(store)
