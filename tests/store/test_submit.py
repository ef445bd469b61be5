"""Submit: what a saved job looks like, and what it waits for."""

import pytest

from runyard.clock import ManualClock
from runyard.domain.event import EventKind
from runyard.domain.job import State
from runyard.errors import Conflict, NotFound
from runyard.store import control
from runyard.store import submit as submits
from runyard.store.database import Store
from runyard.store.once import IdempotencyKey
from runyard.store.submit import NewBatch
from tests.store.support import (
    FAIL,
    PASS,
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


def key(name: str = "k1", digest: str = "d1", org_id: str = "default") -> IdempotencyKey:
    return IdempotencyKey(org_id, name, digest)


def id_of(store: Store, seq: int) -> str:
    return get(store, seq).id


def test_a_submitted_job_is_queued_and_as_it_was_asked_for(
    store: Store, clock: ManualClock
) -> None:
    wanted = new("unit", org_id="acme", target="device", app_version_id="v7", priority=8)
    (seq,) = submit(store, wanted)
    job = get(store, seq)
    assert (job.id, job.name, job.command) == (wanted.id, "unit", ["true"])
    assert (job.org_id, job.target, job.app_version_id) == ("acme", "device", "v7")
    assert (job.state, job.priority, job.attempts) == (State.QUEUED, 8, [])
    assert (job.submitted_at, job.started_at) == (clock.now(), None)
    assert history(store, seq) == [EventKind.SUBMITTED]


def test_jobs_keep_the_order_in_which_they_were_submitted(store: Store) -> None:
    seqs = submit(store, *(f"job {n}" for n in range(30)))
    assert seqs == sorted(seqs)
    later = submit(store, "later")
    assert later[0] > seqs[-1]
    assert names(claim(store, 31)) == [f"job {n}" for n in range(30)] + ["later"]


def test_text_of_any_kind_comes_back_as_it_was(store: Store) -> None:
    odd = "tab\t newline\n return\r backslash \\N \\. quote ' \" 测试 🚂"
    (seq,) = submit(store, new(odd, org_id=odd, target=odd, labels={odd: odd}))
    job = get(store, seq)
    assert (job.name, job.org_id, job.target, job.labels) == (odd, odd, odd, {odd: odd})


def test_a_job_for_later_is_delayed(store: Store, clock: ManualClock) -> None:
    later, due = clock.now() + 1, clock.now()
    seqs = submit(store, new("later", run_after=later), new("due", run_after=due))
    assert states(store, *seqs) == [State.DELAYED, State.QUEUED]


def test_a_submission_that_fails_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(NotFound):
        submit(store, "fine", new("lost", needs_ids=["nobody"]), batch="b-1")
    with pytest.raises(NotFound):
        batch(store, "b-1")
    assert claim(store, 10) == []


# Batches


def test_a_batch_counts_its_jobs(store: Store, clock: ManualClock) -> None:
    submit(store, "a", "b", new("c", needs=[0]), batch="b-1")
    clock.advance(5)
    counted = batch(store, "b-1")
    assert (counted.id, counted.name, counted.state) == ("b-1", "batch b-1", State.QUEUED)
    assert (counted.total, counted.waiting, counted.running) == (3, 3, 0)
    assert (counted.seconds, counted.finished_at) == (5.0, None)


def test_a_batch_without_jobs_is_over_at_once(store: Store, clock: ManualClock) -> None:
    submit(store, batch="b-1")
    counted = batch(store, "b-1")
    assert (counted.state, counted.total) == (State.PASSED, 0)
    assert counted.finished_at == clock.now()


def test_a_batch_of_many_thousand_jobs_is_one_submission(store: Store) -> None:
    made = [new("same")] + [new("same", id=f"x{n:06}") for n in range(12_000)]
    store.write(lambda tx: submits.submit(tx, made, NewBatch("b-1", "", "default")))
    assert batch(store, "b-1").waiting == 12_001


# Dependencies


def test_a_job_is_blocked_until_all_it_needs_have_passed(store: Store) -> None:
    *_, last = submit(store, "a", "b", new("last", needs=[0, 1]))
    assert states(store, last) == [State.BLOCKED]
    run_next(store)
    assert states(store, last) == [State.BLOCKED]
    run_next(store)
    assert states(store, last) == [State.QUEUED]
    assert history(store, last) == [EventKind.SUBMITTED, EventKind.UNBLOCKED]


def test_a_job_may_need_one_that_stands_later_in_the_same_submission(store: Store) -> None:
    first, second = submit(store, new("first", needs=[1]), "second")
    assert states(store, first, second) == [State.BLOCKED, State.QUEUED]
    run_next(store)
    assert states(store, first, second) == [State.QUEUED, State.PASSED]


def test_a_dependency_named_twice_is_waited_for_once(store: Store) -> None:
    (earlier,) = submit(store, "earlier")
    known = id_of(store, earlier)
    _, twice = submit(store, "a", new("twice", needs=[0, 0], needs_ids=[known, known]))
    assert row(store, twice).waiting_on == 2
    run_next(store)
    run_next(store)
    assert states(store, twice) == [State.QUEUED]


def test_a_job_may_need_jobs_that_exist(store: Store) -> None:
    (earlier,) = submit(store, "earlier")
    (later,) = submit(store, new("later", needs_ids=[id_of(store, earlier)]))
    assert get(store, later).depends_on == [id_of(store, earlier)]
    assert states(store, later) == [State.BLOCKED]
    run_next(store)
    assert states(store, later) == [State.QUEUED]


def test_a_job_that_needs_only_passed_jobs_is_queued_at_once(store: Store) -> None:
    (earlier,) = submit(store, "earlier")
    run_next(store)
    (later,) = submit(store, new("later", needs_ids=[id_of(store, earlier)]))
    assert states(store, later) == [State.QUEUED]


@pytest.mark.parametrize("end", ["failed", "cancelled", "skipped"])
def test_a_job_that_needs_one_that_ended_badly_is_skipped_at_once(store: Store, end: str) -> None:
    (bad,) = submit(store, "bad")
    if end == "skipped":
        (bad,) = submit(store, new("dependent", needs_ids=[id_of(store, bad)]))
    if end == "cancelled":
        store.write(lambda tx: control.cancel(tx, [bad]))
    else:
        run_next(store, FAIL)
    assert get(store, bad).state == end
    later = submit(
        store,
        new("direct", needs_ids=[id_of(store, bad)]),
        new("through it", needs=[0]),
        "apart",
        batch="b-1",
    )
    assert states(store, *later) == [State.SKIPPED, State.SKIPPED, State.QUEUED]
    assert (batch(store, "b-1").skipped, batch(store, "b-1").waiting) == (2, 1)


def test_an_unknown_dependency_is_refused_by_name(store: Store) -> None:
    with pytest.raises(NotFound, match="there is no job nobody to depend on"):
        submit(store, new("a", needs_ids=["nobody"]))


def test_a_blocked_job_keeps_the_time_it_must_wait_for(store: Store, clock: ManualClock) -> None:
    later = clock.now() + 60
    _, waiting = submit(store, "first", new("waiting", needs=[0], run_after=later))
    run_next(store)
    assert (row(store, waiting).state, row(store, waiting).run_after) == (State.DELAYED, later)


def test_a_job_may_need_very_many_others(store: Store) -> None:
    parents = [new("parent", id=f"p{n:06}") for n in range(1200)]
    store.write(lambda tx: submits.submit(tx, parents))
    (seq,) = submit(store, new("child", needs_ids=[job.id for job in parents]))
    assert row(store, seq).waiting_on == 1200


def test_more_dependencies_than_a_statement_has_places_for(store: Store) -> None:
    with pytest.raises(NotFound, match="there is no job p0 to depend on"):
        submit(store, new("child", needs_ids=[f"p{n}" for n in range(66_000)]))


# Idempotency keys


def test_the_same_key_and_request_give_the_first_job_again(store: Store) -> None:
    first, second = new("first"), new("second")
    assert store.write(lambda tx: submits.submit(tx, [first], key=key())) is None
    assert store.write(lambda tx: submits.submit(tx, [second], key=key())) == first.id
    assert names(claim(store, 10)) == ["first"]


def test_the_same_key_and_request_give_the_first_batch_again(store: Store) -> None:
    def again(batch_id: str) -> str | None:
        made = NewBatch(batch_id, "", "default")
        return store.write(lambda tx: submits.submit(tx, [new("a"), new("b")], made, key=key()))

    assert again("b-1") is None
    assert again("b-2") == "b-1"


def test_a_key_that_was_used_for_something_else_is_refused(store: Store) -> None:
    submit(store, "first", key=key(digest="d1"))
    with pytest.raises(Conflict, match=r"the idempotency key 'k1' was used for something else"):
        submit(store, "second", key=key(digest="d2"))


def test_each_org_has_keys_of_its_own(store: Store) -> None:
    submit(store, "first", key=key(org_id="a"))
    submit(store, "second", key=key(digest="other", org_id="b"))
    assert len(claim(store, 10)) == 2


def test_a_key_of_a_submission_that_failed_is_free(store: Store) -> None:
    with pytest.raises(NotFound):
        submit(store, new("a", needs_ids=["nobody"]), key=key())
    submit(store, "a", key=key(digest="corrected"))


# Finishing is for all of them


def test_a_chain_runs_in_order(store: Store) -> None:
    submit(store, new("c", needs=[1]), new("b", needs=[2]), "a", batch="b-1")
    order = []
    while claimed := claim(store):
        finish(store, claimed[0], PASS)
        order += names(claimed)
    assert order == ["a", "b", "c"]
    assert batch(store, "b-1").state is State.PASSED
