"""Views: find, list and count what is stored."""

import pytest

from runyard.clock import ManualClock
from runyard.domain.event import EventKind
from runyard.domain.job import Kind, State
from runyard.domain.listing import JobFilter, Page
from runyard.errors import NotFound
from runyard.store import batches, listing, views
from runyard.store.database import Store
from tests.store.support import (
    FAIL,
    PASS,
    batch,
    claim,
    finish,
    get,
    new,
    run_next,
    seq_of,
    states,
    submit,
)


def page(store: Store, limit: int = 100, cursor: str | None = None, **wanted: object) -> Page:
    with store.read() as tx:
        return listing.page(tx, JobFilter(**wanted), limit, cursor)


def shown(store: Store, **wanted: object) -> list[str]:
    return [job.name for job in page(store, **wanted).jobs]


# Finding


def test_a_job_is_found_by_its_id_or_the_beginning_of_it(store: Store) -> None:
    first, second = submit(store, new("a", id="abc1"), new("b", id="abd2"))
    assert [seq_of(store, text) for text in ("abc1", "abc", "abd")] == [first, first, second]


@pytest.mark.parametrize("prefix", ["x", "abcd", "ABC", "", "b-", "ab~", "%", "_", "a\0"])
def test_what_is_not_there_is_not_found(store: Store, prefix: str) -> None:
    submit(store, new("a", id="abc1"))
    with pytest.raises(NotFound, match="there is no job"):
        seq_of(store, prefix)


def test_a_beginning_that_fits_several_names_some(store: Store) -> None:
    submit(store, *(new("a", id=f"abc{n}") for n in range(5)))
    with pytest.raises(NotFound, match=r"'ab' fits several jobs \(abc0, abc1, abc2, …\)"):
        seq_of(store, "ab")


def test_a_whole_id_is_never_ambiguous(store: Store) -> None:
    short, _ = submit(store, new("short", id="abc"), new("long", id="abcd"))
    assert seq_of(store, "abc") == short


def test_a_batch_is_found_in_the_same_way(store: Store) -> None:
    submit(store, "a", batch="b-xyz")
    assert batch(store, "b-x").id == "b-xyz"
    with pytest.raises(NotFound, match="there is no batch 'b-q'"):
        batch(store, "b-q")


def test_a_batch_means_all_its_members(store: Store) -> None:
    alone, *members = submit(store, "alone"), *submit(store, "a", "b", batch="b-1")
    with store.read() as tx:
        found = views.seqs_of(tx, ["b-1", get(store, alone[0]).id, "b-"])
    assert found == [*members, *alone]


def test_a_job_that_is_gone_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        get(store, 4711)
    with pytest.raises(NotFound), store.read() as tx:
        batches.batch(tx, 4711)


# One job


def test_a_job_shows_its_spec(store: Store) -> None:
    wanted = new("x", labels={"suite": "unit"}, payload={"deep": [1, None]}, priority=7)
    job = get(store, submit(store, wanted)[0])
    assert (job.kind, job.command) == (Kind.COMMAND, ["true"])
    assert (job.labels, job.payload, job.priority) == ({"suite": "unit"}, {"deep": [1, None]}, 7)


def test_a_job_shows_its_batch_and_what_it_depends_on(store: Store) -> None:
    (alone,) = submit(store, "alone")
    needs = [get(store, alone).id]
    *_, last = submit(store, "a", new("b", needs=[0], needs_ids=needs), batch="b-1")
    job = get(store, last)
    assert job.batch_id == "b-1"
    assert set(job.depends_on) == {*needs, get(store, last - 1).id}
    assert get(store, alone).batch_id is None


def test_many_jobs_come_in_order_whatever_was_asked(store: Store) -> None:
    seqs = submit(store, *(f"job {n}" for n in range(700)))
    with store.read() as tx:
        found = views.get_many(tx, list(reversed(seqs)))
    assert [job.name for job in found] == [f"job {n}" for n in range(700)]


# Lists


def test_a_list_begins_with_the_newest(store: Store) -> None:
    submit(store, "first", "second")
    submit(store, "third")
    assert shown(store) == ["third", "second", "first"]


def test_a_list_comes_in_parts_without_gaps_or_repetitions(store: Store) -> None:
    submit(store, *(f"job {n}" for n in range(7)))
    parts, cursor = [], None
    while True:
        part = page(store, limit=3, cursor=cursor)
        parts.append([job.name for job in part.jobs])
        submit(store, "meanwhile")
        cursor = part.next
        if cursor is None:
            break
    assert parts == [["job 6", "job 5", "job 4"], ["job 3", "job 2", "job 1"], ["job 0"]]


def test_the_last_part_of_a_list_has_no_next(store: Store) -> None:
    submit(store, "a", "b", "c")
    assert page(store, limit=3).next is None
    assert page(store, limit=2).next is not None
    assert page(Store(store.url), limit=3, org_id="nobody") == Page([], None)


@pytest.mark.parametrize("cursor", ["x", "", "-1", "1.5", "²", "9" * 30])
def test_what_is_no_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(NotFound, match="is not a cursor that a list gave"):
        page(store, cursor=cursor)


def test_a_list_can_be_narrowed(store: Store) -> None:
    submit(
        store,
        new("a", org_id="acme", target="device", app_version_id="v1"),
        new("b", org_id="acme", target="local"),
        new("c", org_id="other", target="device"),
    )
    assert shown(store, org_id="acme") == ["b", "a"]
    assert shown(store, target="device") == ["c", "a"]
    assert shown(store, app_version_id="v1") == ["a"]
    assert shown(store, org_id="acme", target="device") == ["a"]
    assert shown(store, org_id="nobody") == []


def test_a_list_can_be_narrowed_to_states(store: Store) -> None:
    submit(store, "passes", "fails", "waits")
    run_next(store, PASS)
    run_next(store, FAIL)
    assert shown(store, states=frozenset({State.PASSED})) == ["passes"]
    assert shown(store, states=frozenset({State.PASSED, State.QUEUED})) == ["waits", "passes"]
    assert shown(store, states=frozenset({State.RUNNING})) == []
    claim(store)
    assert shown(store, states=frozenset({State.RUNNING})) == ["waits"]
    assert shown(store, states=frozenset({State.RUNNING}), org_id="other") == []


def test_a_list_can_be_narrowed_to_labels(store: Store) -> None:
    submit(
        store,
        new("a", labels={"suite": "unit", "nightly": ""}),
        new("b", labels={"suite": "e2e"}),
        "c",
    )
    assert shown(store, labels={"suite": "unit"}) == ["a"]
    assert shown(store, labels={"suite": None}) == ["b", "a"]
    assert shown(store, labels={"suite": None, "nightly": ""}) == ["a"]
    assert shown(store, labels={"suite": "nightly"}) == []


def test_a_list_can_be_narrowed_to_a_batch(store: Store) -> None:
    submit(store, "a", batch="b-1")
    submit(store, "b", batch="b-2")
    assert shown(store, batch_id="b-2") == ["b"]
    with pytest.raises(NotFound):
        shown(store, batch_id="b-3")


# Counting and waiting


def test_a_batch_counts_what_runs_right_now(store: Store) -> None:
    submit(store, "a", "b", "c", batch="b-1")
    submit(store, "other", batch="b-2")
    claim(store, 4)
    counted = batch(store, "b-1")
    assert (counted.running, counted.waiting, counted.state) == (3, 0, State.RUNNING)
    assert not counted.is_final


def test_unfinished_jobs_are_told_from_those_that_are_over(store: Store) -> None:
    first, second, third = submit(store, "a", "b", new("c", needs=[1]))
    run_next(store)
    claim(store)
    with store.read() as tx:
        assert views.unfinished(tx, [third, first, second]) == [second, third]
        assert views.unfinished(tx, []) == []


def test_the_history_of_jobs_is_in_the_order_in_which_things_happened(
    store: Store, clock: ManualClock
) -> None:
    first, second = submit(store, "a", new("b", needs=[0]), batch="b-1")
    (claimed,) = claim(store)
    clock.advance(2)
    finish(store, claimed)
    with store.read() as tx:
        events = views.history(tx, [second, first])
    assert [(event.kind, event.attempt) for event in events] == [
        (EventKind.SUBMITTED, None),
        (EventKind.SUBMITTED, None),
        (EventKind.CLAIMED, 1),
        (EventKind.PASSED, 1),
        (EventKind.UNBLOCKED, None),
    ]
    assert {event.batch_id for event in events} == {"b-1"}
    assert events[2].data == {"worker": "w1", "slot": "s0"}
    assert (events[2].at, events[3].at) == (clock.now() - 2, clock.now())
    assert states(store, second) == [State.QUEUED]
