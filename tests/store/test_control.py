"""Cancel, complete, retry and adopt: what people change about jobs that exist."""

import pytest

from runyard.clock import ManualClock
from runyard.domain.event import EventKind
from runyard.domain.job import AttemptState, State
from runyard.domain.lifecycle import Cause, Outcome
from runyard.errors import Conflict
from runyard.store import control, leases, registry
from runyard.store.control import Cancelled
from runyard.store.database import Store
from runyard.store.moves import Move
from runyard.store.registry import WorkerInfo
from runyard.store.schedule import promote
from tests.store.support import (
    FAIL,
    LEASE,
    batch,
    claim,
    finish,
    get,
    history,
    names,
    new,
    row,
    run_next,
    states,
    submit,
)


def cancel(store: Store, *seqs: int) -> Cancelled:
    return store.write(lambda tx: control.cancel(tx, seqs))


def retry(store: Store, *seqs: int) -> list[Move]:
    return store.write(lambda tx: control.retry(tx, seqs))


# Cancel


def test_waiting_jobs_are_cancelled_at_once(store: Store, clock: ManualClock) -> None:
    seqs = submit(
        store, "queued", new("delayed", run_after=clock.now() + 9), new("blocked", needs=[0])
    )
    done = cancel(store, *seqs)
    assert states(store, *seqs) == [State.CANCELLED] * 3
    assert ({move.seq for move in done.moves}, done.asked, done.workers) == (set(seqs), [], set())
    assert get(store, seqs[0]).finished_at == clock.now()
    assert claim(store, 5) == []


def test_a_running_job_is_only_asked_to_end(store: Store) -> None:
    (seq,) = submit(store, "unit")
    (claimed,) = claim(store, worker="w7")
    done = cancel(store, seq)
    assert (done.moves, done.asked, done.workers) == ([], [seq], {"w7"})
    assert states(store, seq) == [State.RUNNING]
    finish(store, claimed, Outcome(Cause.CANCELLED, signal=15))
    assert states(store, seq) == [State.CANCELLED]
    assert history(store, seq)[-2:] == [EventKind.CANCEL_REQUESTED, EventKind.CANCELLED]


def test_asking_twice_is_recorded_once(store: Store) -> None:
    (seq,) = submit(store, "unit")
    claim(store)
    cancel(store, seq)
    again = cancel(store, seq)
    assert (again.asked, again.moves) == ([], [])
    assert history(store, seq).count(EventKind.CANCEL_REQUESTED) == 1


def test_a_job_that_is_over_is_left_alone(store: Store) -> None:
    (seq,) = submit(store, "unit")
    run_next(store)
    done = cancel(store, seq)
    assert (done.moves, done.asked) == ([], [])
    assert states(store, seq) == [State.PASSED]


def test_what_depends_on_a_cancelled_job_is_skipped(store: Store) -> None:
    seqs = submit(store, "a", new("b", needs=[0]), new("c", needs=[1]), "apart", batch="b-1")
    done = cancel(store, seqs[0])
    expected = [State.CANCELLED, State.SKIPPED, State.SKIPPED, State.QUEUED]
    assert states(store, *seqs) == expected
    assert len(done.moves) == 3
    assert (batch(store, "b-1").cancelled, batch(store, "b-1").skipped) == (1, 2)


def test_a_cancelled_retry_does_not_come_back(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, new("flaky", max_attempts=5))
    run_next(store, FAIL)
    cancel(store, seq)
    clock.advance(3600)
    assert store.write(promote) == 0
    assert states(store, seq) == [State.CANCELLED]


def test_a_whole_batch_of_many_is_cancelled(store: Store) -> None:
    seqs = submit(store, *("unit" for _ in range(1200)), batch="b-1")
    claim(store, 10)
    done = cancel(store, *seqs)
    assert (len(done.moves), len(done.asked)) == (1190, 10)
    counted = batch(store, "b-1")
    assert (counted.cancelled, counted.running, counted.state) == (1190, 10, State.RUNNING)


# Retry


# Complete


def complete(store: Store, *seqs: int) -> list[Move]:
    return store.write(lambda tx: control.complete(tx, seqs))


def test_a_waiting_job_is_declared_passed(store: Store, clock: ManualClock) -> None:
    seqs = submit(
        store,
        "queued",
        new("delayed", run_after=clock.now() + 9),
        new("blocked", needs=[0]),
        batch="b-1",
    )
    complete(store, *seqs)
    assert states(store, *seqs) == [State.PASSED] * 3
    assert history(store, seqs[0])[-1] is EventKind.COMPLETED
    assert batch(store, "b-1").passed == 3
    assert claim(store, 5) == []


def test_what_waits_for_a_completed_job_goes_on(store: Store) -> None:
    parent, child = submit(store, "parent", new("child", needs=[0]))
    complete(store, parent)
    assert states(store, parent, child) == [State.PASSED, State.QUEUED]


def test_whoever_runs_a_completed_job_loses_it(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, "unit")
    (claimed,) = claim(store)
    clock.advance(3)
    complete(store, seq)
    assert states(store, seq) == [State.PASSED]
    assert [attempt.state for attempt in get(store, seq).attempts] == [AttemptState.CANCELLED]
    assert store.write(lambda tx: leases.renew(tx, "w1", LEASE)).held == frozenset()
    late = finish(store, claimed, FAIL)
    assert (late.moves, states(store, seq)) == ([], [State.PASSED])


def test_a_job_that_is_over_cannot_be_completed(store: Store) -> None:
    waiting, over = submit(store, "waiting", new("over", priority=8))
    run_next(store, FAIL)
    with pytest.raises(Conflict, match="is failed already"):
        complete(store, waiting, over)
    assert states(store, waiting, over) == [State.QUEUED, State.FAILED]


def test_a_failed_job_is_reopened_with_a_fresh_budget(store: Store, clock: ManualClock) -> None:
    (seq,) = submit(store, new("flaky", max_attempts=2), batch="b-1")
    for _ in range(2):
        run_next(store, FAIL)
        clock.advance(3600)
        store.write(promote)
    assert states(store, seq) == [State.FAILED]
    (move,) = retry(store, seq)
    job = get(store, seq)
    assert (move.seq, job.state, job.reason, job.exit_code) == (seq, State.QUEUED, None, None)
    assert (job.started_at, job.finished_at, len(job.attempts)) == (None, None, 2)
    assert (batch(store, "b-1").failed, batch(store, "b-1").finished_at) == (0, None)
    run_next(store, FAIL)
    assert states(store, seq) == [State.DELAYED]
    assert [a.number for a in get(store, seq).attempts] == [1, 2, 3]


def test_a_cancelled_job_can_be_reopened(store: Store) -> None:
    (seq,) = submit(store, "unit")
    cancel(store, seq)
    retry(store, seq)
    run_next(store)
    assert states(store, seq) == [State.PASSED]


def test_what_was_skipped_because_of_a_job_is_reopened_with_it(store: Store) -> None:
    seqs = submit(store, "bad", new("child", needs=[0]), new("grandchild", needs=[1]), batch="b-1")
    run_next(store, FAIL)
    retry(store, seqs[0])
    assert states(store, *seqs) == [State.QUEUED, State.BLOCKED, State.BLOCKED]
    for _ in seqs:
        run_next(store)
    assert states(store, *seqs) == [State.PASSED] * 3
    assert batch(store, "b-1").passed == 3


def test_what_is_skipped_for_another_reason_too_stays_skipped(store: Store) -> None:
    bad, worse, both, behind, only = submit(
        store,
        "bad",
        "worse",
        new("both", needs=[0, 1]),
        new("behind", needs=[2]),
        new("only", needs=[0]),
        batch="b-1",
    )
    run_next(store, FAIL)
    run_next(store, FAIL)
    retry(store, bad)
    assert states(store, bad, worse) == [State.QUEUED, State.FAILED]
    assert states(store, both, behind, only) == [State.SKIPPED, State.SKIPPED, State.BLOCKED]
    retry(store, worse)
    assert states(store, both, behind) == [State.BLOCKED] * 2
    assert row(store, both).waiting_on == 2
    for _ in range(5):
        run_next(store)
    assert batch(store, "b-1").passed == 5


def test_a_reopened_job_waits_only_for_what_has_not_passed(store: Store) -> None:
    good, bad, child = submit(store, "good", "bad", new("child", needs=[0, 1]))
    run_next(store)
    run_next(store, FAIL)
    retry(store, bad)
    assert row(store, child).waiting_on == 1
    run_next(store)
    assert states(store, good, bad, child) == [State.PASSED, State.PASSED, State.QUEUED]


def test_a_skipped_job_is_not_reopened_without_the_one_it_needs(store: Store) -> None:
    bad, child = submit(store, "bad", new("child", needs=[0]))
    run_next(store, FAIL)
    with pytest.raises(Conflict, match=r"needs job \w+, which is failed: retry that one"):
        retry(store, child)
    assert states(store, bad, child) == [State.FAILED, State.SKIPPED]
    assert len(retry(store, child, bad)) == 2


@pytest.mark.parametrize("state", ["queued", "delayed", "blocked", "running"])
def test_a_job_that_has_not_ended_cannot_be_retried(
    store: Store, clock: ManualClock, state: str
) -> None:
    delayed = new("delayed", run_after=clock.now() + 9)
    by_state = dict(
        zip(
            ["running", "queued", "delayed", "blocked"],
            submit(store, "running", "queued", delayed, new("blocked", needs=[1])),
            strict=True,
        )
    )
    claim(store)
    wanted = rf"is {state}: only a job that has ended can be retried"
    with pytest.raises(Conflict, match=wanted):
        retry(store, by_state[state])


def test_a_job_that_passed_cannot_be_retried(store: Store) -> None:
    (seq,) = submit(store, "unit")
    run_next(store)
    with pytest.raises(Conflict, match="has passed: submit it again to run it again"):
        retry(store, seq)


def test_a_refused_retry_reopens_none_of_the_jobs(store: Store) -> None:
    failed, passed = submit(store, "fails", "passes")
    run_next(store, FAIL)
    run_next(store)
    with pytest.raises(Conflict):
        retry(store, failed, passed)
    assert states(store, failed) == [State.FAILED]


def test_a_late_result_does_not_touch_a_reopened_job(store: Store) -> None:
    (seq,) = submit(store, "unit")
    (first,) = claim(store)
    finish(store, first, FAIL)
    retry(store, seq)
    (second,) = claim(store)
    assert second.fence == 2
    finish(store, first, FAIL)
    assert states(store, seq) == [State.RUNNING]


# Adopt


def test_an_abandoned_pool_is_opened_to_all(store: Store, clock: ManualClock) -> None:
    submit(
        store,
        new("phone", target="device", org_id="acme"),
        "over",
        "waiting",
        new("blocked", needs=[2]),
        new("later", run_after=clock.now() + 9),
        pool="run-1",
    )
    mine = claim(store, 2, pools=frozenset({"run-1"}))
    finish(store, mine[1])
    assert store.write(lambda tx: control.adopt(tx, "run-1")) == 4
    assert names(claim(store, 5)) == ["waiting"]
    finish(store, mine[0])
    assert claim(store, 5, pools=frozenset({"run-1"})) == []


def test_adopting_a_pool_twice_or_one_that_never_was_changes_nothing(store: Store) -> None:
    submit(store, "unit", pool="run-1")
    assert store.write(lambda tx: control.adopt(tx, "run-1")) == 1
    assert store.write(lambda tx: control.adopt(tx, "run-1")) == 0
    assert store.write(lambda tx: control.adopt(tx, "never")) == 0


def test_an_adopted_job_keeps_what_it_is(store: Store) -> None:
    wanted = new("unit", org_id="acme", target="device", app_version_id="v1")
    (seq,) = submit(store, wanted, pool="run-1")
    store.write(lambda tx: control.adopt(tx, "run-1"))
    job = get(store, seq)
    assert (job.org_id, job.target, job.app_version_id) == ("acme", "device", "v1")


def test_a_job_of_a_run_that_has_ended_is_retried_by_whoever_comes(store: Store) -> None:
    submit(store, "unit", pool="run-1")
    store.write(lambda tx: registry.sign_on(tx, WorkerInfo("run-1", "host", 1, 1, pool="run-1")))
    (mine,) = claim(store, worker="run-1", pools=frozenset({"run-1"}))
    finish(store, mine, FAIL)
    retry(store, mine.seq)
    assert claim(store) == []  # its own worker is still there
    cancel(store, mine.seq)
    store.write(lambda tx: control.retire(tx, ["run-1"]))
    retry(store, mine.seq)
    assert names(claim(store)) == ["unit"]


def test_workers_retire_and_leave_their_pools_to_all(store: Store) -> None:
    for name in ("run-1", "run-2"):
        info = WorkerInfo(name, "host", 1, slots=1, pool=name)
        store.write(lambda tx, info=info: registry.sign_on(tx, info))
        submit(store, f"of {name}", pool=name)
    store.write(lambda tx: control.retire(tx, ["run-1"]))
    assert names(claim(store, 5)) == ["of run-1"]
    with store.read() as tx:
        assert [info.id for info in registry.live(tx, 0.0)] == ["run-2"]
