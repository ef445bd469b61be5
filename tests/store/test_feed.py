"""The feed of events: each one once, however late it comes into sight."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runyard.store import feed
from runyard.store import submit as submits
from runyard.store.database import Store, Tx
from tests.store.support import claim, finish, new, on_postgresql, submit


def kinds(found: list[feed.Entry]) -> list[str]:
    return [entry.kind for entry in found]


def test_what_happens_is_told_once(store: Store) -> None:
    submit(store, "before")
    reader = feed.start(store)
    assert reader.read() == []
    submit(store, new("unit", org_id="acme", priority=8), batch="b-1")
    (claimed,) = claim(store)
    finish(store, claimed)
    found = reader.read()
    assert kinds(found) == ["submitted", "claimed", "passed"]
    assert {(entry.org_id, entry.batch_id) for entry in found} == {("acme", "b-1")}
    assert [entry.attempt for entry in found] == [None, 1, 1]
    assert found[0].data()["seq"] == found[0].seq
    assert reader.read() == []
    assert reader.settled == reader.last == found[-1].seq


def test_the_past_is_told_again(store: Store) -> None:
    seqs = submit(store, *(f"job-{n}" for n in range(5)))
    last = feed.start(store).last
    some = feed.between(store, 0, last, 3)
    rest = feed.between(store, some[-1].seq, last, 3)
    assert len(some) == 3
    assert len({entry.job_id for entry in [*some, *rest]}) == len(seqs)


@contextmanager
def slow_submission(store: Store) -> Iterator[None]:
    """One that has written, and commits at the end of the block."""
    has_written, may_commit = threading.Event(), threading.Event()

    def slow(tx: Tx) -> None:
        submits.submit(tx, [new("slow")])
        tx.flush()
        has_written.set()
        assert may_commit.wait(30)

    thread = threading.Thread(target=store.write, args=(slow,))
    thread.start()
    try:
        assert has_written.wait(30)
        yield
    finally:
        may_commit.set()
        thread.join()


@on_postgresql
def test_what_commits_late_is_told_when_it_is_there(store: Store) -> None:
    submit(store, "before")  # makes the queue, which both would wait for
    reader = feed.start(store)
    with slow_submission(store):
        submit(store, "quick")
        (quick,) = reader.read()
        assert reader.settled < quick.seq  # whoever goes on from here misses nothing
    (late,) = reader.read()
    assert late.seq < quick.seq
    assert reader.settled == quick.seq
    assert reader.read() == []


@on_postgresql
def test_what_was_written_before_and_commits_after_the_start_is_told(store: Store) -> None:
    submit(store, "before")
    with slow_submission(store):
        submit(store, "quick")
        reader = feed.start(store)
        assert reader.settled < reader.last
        assert reader.read() == []
    (late,) = reader.read()
    assert late.seq < reader.last
    assert reader.settled == reader.last


def test_a_number_that_never_comes_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = feed.start(store)

    def broken(tx: Tx) -> None:
        submits.submit(tx, [new("never")])
        tx.flush()
        raise KeyError

    with pytest.raises(KeyError):
        store.write(broken)
    submit(store, "unit")
    (found,) = reader.read()
    monkeypatch.setattr(feed.time, "monotonic", lambda: float("inf"))
    assert reader.read() == []
    assert reader.settled == found.seq
