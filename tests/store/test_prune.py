"""Prune: what ended long ago goes, and nothing that is still needed."""

import pytest
from sqlalchemy import func, select

from runyard.clock import ManualClock
from runyard.domain.job import State
from runyard.errors import Conflict, NotFound
from runyard.store import control, tallies, views
from runyard.store import prune as prunes
from runyard.store import submit as submits
from runyard.store.database import Store
from runyard.store.once import IdempotencyKey
from runyard.store.prune import CHUNK, Pruned
from runyard.store.prune import prune as prune_before
from runyard.store.schema import metadata
from tests.store.support import (
    FAIL,
    batch,
    claim,
    finish,
    get,
    new,
    row,
    run_next,
    states,
    submit,
)

DAY = 86400.0


def prune(store: Store, cutoff: float) -> Pruned:
    return store.write(lambda tx: prune_before(tx, cutoff))


def left(store: Store) -> dict[str, int]:
    """How many rows each table holds."""
    with store.read() as tx:
        return {
            table.name: tx.conn.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


def test_a_job_that_ended_before_the_cutoff_goes_with_all_that_hangs_on_it(
    store: Store, clock: ManualClock
) -> None:
    key = IdempotencyKey("default", "k", "d")
    old = new("old", labels={"suite": "unit"}, max_attempts=2)
    submit(store, old, new("child", needs=[0]), batch="b-1", key=key)
    run_next(store)
    run_next(store)
    clock.advance(DAY)
    pruned = prune(store, clock.now())
    assert old.id in pruned.job_ids
    assert len(pruned.job_ids) == 2
    store.write(tallies.fold)
    assert {name: count for name, count in left(store).items() if count} == {
        "cursors": 1,  # how often tallies were folded
        "groups": 1,
        "queues": 1,
        "totals": 1,
    }


def test_younger_jobs_stay(store: Store, clock: ManualClock) -> None:
    old, young = submit(store, "old", "young")
    run_next(store)
    clock.advance(DAY)
    run_next(store)
    assert len(prune(store, clock.now()).job_ids) == 1
    assert states(store, young) == [State.PASSED]
    with pytest.raises(NotFound):
        get(store, old)


@pytest.mark.parametrize("how", ["queued", "running", "delayed", "blocked"])
def test_an_unfinished_job_stays_however_old(store: Store, clock: ManualClock, how: str) -> None:
    if how == "running":
        submit(store, "old")
        claim(store)
    elif how == "delayed":
        submit(store, new("old", run_after=clock.now() + 99 * DAY))
    else:
        submit(store, "old", *([new("blocked", needs=[0])] if how == "blocked" else []))
    before = left(store)
    clock.advance(10 * DAY)
    assert prune(store, clock.now()).job_ids == []
    assert left(store) == before


def test_every_kind_of_end_is_pruned(store: Store, clock: ManualClock) -> None:
    seqs = submit(store, "passes", "fails", "cancelled", new("skipped", needs=[2]))
    run_next(store)
    run_next(store, FAIL)
    store.write(lambda tx: control.cancel(tx, [seqs[2]]))
    clock.advance(DAY)
    assert len(prune(store, clock.now()).job_ids) == 4


def test_a_batch_stays_whole_until_it_is_old(store: Store, clock: ManualClock) -> None:
    submit(store, "a", "b", batch="b-1")
    run_next(store)
    clock.advance(DAY)
    assert prune(store, clock.now()).job_ids == []
    run_next(store)
    assert prune(store, clock.now()).job_ids == []
    clock.advance(1)
    assert len(prune(store, clock.now()).job_ids) == 2
    with pytest.raises(NotFound):
        batch(store, "b-1")


def test_an_old_batch_without_jobs_goes(store: Store, clock: ManualClock) -> None:
    submit(store, batch="b-1")
    clock.advance(DAY)
    prune(store, clock.now())
    assert left(store)["batches"] == 0


def test_a_job_that_others_still_wait_for_stays(store: Store, clock: ManualClock) -> None:
    first, _, child = submit(store, "first", "second", new("child", needs=[0, 1]))
    run_next(store)
    clock.advance(DAY)
    assert prune(store, clock.now()).job_ids == []
    run_next(store)
    run_next(store)
    assert states(store, first, child) == [State.PASSED] * 2
    clock.advance(1)
    assert len(prune(store, clock.now()).job_ids) == 3


def test_no_more_than_a_chunk_at_a_time(store: Store, clock: ManualClock) -> None:
    seqs = submit(store, *("unit" for _ in range(CHUNK + 10)), batch="b-1")
    store.write(lambda tx: control.cancel(tx, seqs))
    clock.advance(DAY)
    first = prune(store, clock.now())
    second = prune(store, clock.now())
    assert (len(first.job_ids), first.may_be_more) == (CHUNK, True)
    assert (len(second.job_ids), second.may_be_more) == (10, False)
    assert left(store)["batches"] == 0


def test_a_pruned_key_is_free_again(store: Store, clock: ManualClock) -> None:
    key = IdempotencyKey("default", "k", "d")
    submit(store, "old", key=key)
    run_next(store)
    clock.advance(DAY)
    prune(store, clock.now())
    again = new("again")
    assert store.write(lambda tx: submits.submit(tx, [again], key=key)) is None


def test_a_number_is_never_given_twice(store: Store, clock: ManualClock) -> None:
    """Else a worker that slept through the retention could finish somebody else's job."""
    (old,) = submit(store, "old", batch="b-1")
    (stale,) = claim(store)
    finish(store, stale)
    clock.advance(DAY)
    prune(store, clock.now())
    (young,) = submit(store, "young", batch="b-2")
    assert young > old
    claim(store)
    finish(store, stale, FAIL)
    assert row(store, young).state == State.RUNNING


# Purge


def purge(store: Store, *seqs: int) -> list[str]:
    return store.write(lambda tx: prunes.purge(tx, seqs))


def purge_batch(store: Store, batch_id: str) -> list[str]:
    return store.write(lambda tx: prunes.purge_batch(tx, views.batch_seq_of(tx, batch_id)))


def test_a_job_that_ended_is_purged_with_all_that_hangs_on_it(store: Store) -> None:
    gone, kept = submit(store, new("gone", labels={"suite": "unit"}), "kept")
    job_id = get(store, gone).id
    run_next(store)
    assert purge(store, gone) == [job_id]
    with pytest.raises(NotFound):
        get(store, gone)
    assert states(store, kept) == [State.QUEUED]
    counts = left(store)
    assert (counts["jobs"], counts["attempts"], counts["job_labels"]) == (1, 0, 0)


def test_a_job_that_is_needed_is_not_purged(store: Store) -> None:
    parent, child = submit(store, "parent", new("child", needs=[0]))
    with pytest.raises(Conflict, match="is queued: cancel it first"):
        purge(store, parent)
    run_next(store)
    with pytest.raises(Conflict, match="other jobs still wait"):
        purge(store, parent)
    run_next(store)
    assert len(purge(store, parent)) == 1
    assert states(store, child) == [State.PASSED]


def test_a_batch_is_purged_as_a_whole(store: Store) -> None:
    key = IdempotencyKey("default", "k", "d")
    first, _ = submit(store, "one", "two", batch="b-1", key=key)
    run_next(store)
    with pytest.raises(Conflict, match="part of a batch"):
        purge(store, first)
    with pytest.raises(Conflict, match="cancel it first"):
        purge_batch(store, "b-1")
    assert batch(store, "b-1").total == 2
    run_next(store)
    assert len(purge_batch(store, "b-1")) == 2
    counts = left(store)
    assert [counts[name] for name in ("jobs", "batches", "idempotency_keys", "events")] == [0] * 4


def test_an_empty_batch_is_purged(store: Store) -> None:
    submit(store, batch="b-1")
    assert purge_batch(store, "b-1") == []
    assert left(store)["batches"] == 0
