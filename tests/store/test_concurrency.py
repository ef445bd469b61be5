"""Many at once: nothing is done twice, nothing is forgotten, nobody sees the database's trouble."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import chain

import pytest

from runyard.clock import ManualClock
from runyard.domain.event import EventKind
from runyard.domain.job import State
from runyard.store import claim as claims
from runyard.store import control, leases
from runyard.store import submit as submits
from runyard.store.claim import Claimer
from runyard.store.control import Cancelled
from runyard.store.database import Store, Tx
from runyard.store.finish import Ended
from runyard.store.finish import finish as finish_all
from runyard.store.leases import renew
from runyard.store.moves import Move
from runyard.store.once import IdempotencyKey
from runyard.store.submit import NewJob
from runyard.store.views import unfinished
from runyard.store.yard import FreeSlot
from tests.store.checker import check
from tests.store.support import (
    FAIL,
    LEASE,
    PASS,
    batch,
    claim,
    finish,
    history,
    in_parallel,
    in_processes,
    names,
    new,
    on_postgresql,
    states,
    submit,
)


def is_consistent(store: Store, *seqs: int) -> None:
    with store.read() as tx:
        check(tx, seqs)


def lose(store: Store, *workers: str) -> list[Move]:
    return store.write(lambda tx: leases.expire_workers(tx, workers))


def cancel(store: Store, *seqs: int) -> Cancelled:
    return store.write(lambda tx: control.cancel(tx, seqs))


def retry(store: Store, *seqs: int) -> list[Move]:
    return store.write(lambda tx: control.retry(tx, seqs))


def drain(store: Store, worker: str, slots: int = 3) -> list[tuple[int, int]]:
    """Claim and finish until nothing is left; what was run, as (seq, fence)."""
    ran = []
    while claimed := claim(store, slots, worker=worker):
        ended = [Ended(one.seq, one.fence, PASS) for one in claimed]
        store.write(lambda tx, ended=ended: finish_all(tx, ended))
        ran += [(one.seq, one.fence) for one in claimed]
    return ran


def drain_in_process(url: str) -> list[tuple[int, int]]:
    store = Store(url)
    try:
        return drain(store, f"process {os.getpid()}")
    finally:
        store.close()


# Claims


def test_threads_that_claim_from_one_queue_share_it_out(store: Store) -> None:
    orgs = ("a", "b", "c")
    seqs = submit(store, *(new("unit", org_id=orgs[n % 3]) for n in range(240)), batch="b-1")
    ran = in_parallel(*[partial(drain, store, f"w{n}") for n in range(6)])
    assert Counter(chain(*ran)) == Counter((seq, 1) for seq in seqs)
    assert batch(store, "b-1").passed == len(seqs)
    is_consistent(store, *seqs)


def test_processes_that_claim_from_one_queue_share_it_out(store: Store) -> None:
    seqs = submit(store, *("unit" for _ in range(150)), batch="b-1")
    ran = in_processes(drain_in_process, *[(store.url,)] * 3)
    assert Counter(chain(*ran)) == Counter((seq, 1) for seq in seqs)
    is_consistent(store, *seqs)


def test_a_single_job_goes_to_one_of_many(store: Store) -> None:
    for _ in range(10):
        (seq,) = submit(store, "wanted")
        claimed = in_parallel(*[partial(claim, store, worker=f"w{n}") for n in range(8)])
        (only,) = chain(*claimed)
        assert only.seq == seq


@on_postgresql
def test_a_claim_does_not_wait_for_another_that_takes_long(store: Store) -> None:
    submit(store, "a", "b")
    claiming, enough = threading.Event(), threading.Event()

    def claim_slowly(tx: Tx) -> list[str]:
        claimed = claim_in(tx, "w1")
        claiming.set()
        assert enough.wait(30)
        return claimed

    def claim_meanwhile() -> list[str]:
        assert claiming.wait(30)
        claimed = claim(store, worker="w2")
        enough.set()
        return names(claimed)

    assert in_parallel(partial(store.write, claim_slowly), claim_meanwhile) == [["a"], ["b"]]


def claim_in(tx: Tx, worker: str) -> list[str]:
    return names(claims.claim(tx, Claimer(worker, LEASE), [FreeSlot("s0")]))


def test_two_claims_in_one_transaction_take_different_jobs(store: Store) -> None:
    submit(store, "a", "b", "c")
    assert store.write(lambda tx: claim_in(tx, "w1") + claim_in(tx, "w2")) == ["a", "b"]


def test_what_one_transaction_finishes_and_frees_it_can_claim(store: Store) -> None:
    submit(store, "a", new("b", needs=[0]), batch="b-1")
    (first,) = claim(store)

    def work(tx: Tx) -> list[str]:
        finish_all(tx, [Ended(first.seq, first.fence, PASS)])
        return claim_in(tx, "w1")

    assert store.write(work) == ["b"]


# Finishes


@pytest.mark.parametrize("round_", range(3))
def test_parents_that_finish_at_once_free_each_common_dependent_once(
    store: Store, round_: int
) -> None:
    parents = ["parent"] * 12
    children = [new("child", needs=range(n % 7, n % 7 + 6)) for n in range(21)]
    seqs = submit(store, *parents, *children, batch="b-1")
    claimed = claim(store, 12)
    in_parallel(*[partial(finish, store, one) for one in claimed])
    for child in seqs[12:]:
        assert history(store, child) == [EventKind.SUBMITTED, EventKind.UNBLOCKED]
    assert len(claim(store, 100)) == len(children)
    is_consistent(store, *seqs)


def test_parents_that_end_in_every_way_at_once_leave_no_doubt(store: Store) -> None:
    """Waves of skips cross: what hangs on one parent directly hangs on another through others."""
    layers = [new("parent") for _ in range(8)]
    for layer in range(4):
        first = 8 * layer
        layers += [
            new("child", needs=[first + n, first + (n + 3) % 8, (5 * n) % 8]) for n in range(8)
        ]
    seqs = submit(store, *layers, batch="b-1")
    claimed = claim(store, 8)
    ends = [
        partial(finish, store, one, FAIL if n % 4 == 1 else PASS)
        for n, one in enumerate(claimed[:6])
    ]
    in_parallel(*ends, partial(cancel, store, *seqs[20:]), partial(lose, store, "w1"))
    is_consistent(store, *seqs)


def test_one_result_sent_by_many_counts_once(store: Store) -> None:
    (seq,) = submit(store, "unit", batch="b-1")
    (claimed,) = claim(store)
    done = in_parallel(*[partial(finish, store, claimed)] * 8)
    assert sum(len(one.moves) for one in done) == 1
    assert [one.refused for one in done] == [[]] * 8
    assert batch(store, "b-1").passed == 1
    is_consistent(store, seq)


@pytest.mark.parametrize("loss", [leases.expire, partial(leases.expire_workers, dead=["w1"])])
def test_a_result_and_the_loss_of_its_lease_at_once_leave_one_of_them(
    store: Store, clock: ManualClock, loss: Callable[[Tx], list[Move]]
) -> None:
    seqs = []
    for _ in range(10):
        (seq,) = submit(store, "unit")
        seqs.append(seq)
        (claimed,) = claim(store)
        clock.advance(LEASE + 1)
        done, moves = in_parallel(partial(finish, store, claimed), partial(store.write, loss))
        if moves:
            assert (done.moves, done.refused) == ([], [seq])
            drain(store, "w2")
        else:
            assert len(done.moves) == 1
        assert states(store, seq) == [State.PASSED]
    is_consistent(store, *seqs)


def test_a_cancel_and_a_claim_at_once_leave_a_job_that_will_end(store: Store) -> None:
    for _ in range(10):
        (seq,) = submit(store, "unit")
        cancelled, claimed = in_parallel(partial(cancel, store, seq), partial(claim, store))
        if claimed:
            assert cancelled.asked == [seq]
            finish(store, claimed[0], FAIL)
        assert states(store, seq) == [State.CANCELLED]


# Submissions


def test_a_job_submitted_while_its_dependency_ends_is_never_forgotten(store: Store) -> None:
    seqs = []
    for number in range(24):
        (parent,) = submit(store, "parent")
        (claimed,) = claim(store)
        late = new("child", needs_ids=[claimed.id])
        outcome, then = (FAIL, State.SKIPPED) if number % 3 == 0 else (PASS, State.QUEUED)
        _, (child,) = in_parallel(
            partial(finish, store, claimed, outcome), partial(submit, store, late)
        )
        assert states(store, child) == [then]
        drain(store, "w2")
        seqs += [parent, child]
    is_consistent(store, *seqs)


def test_a_job_reopened_while_its_other_dependency_ends_is_never_forgotten(store: Store) -> None:
    for _ in range(10):
        bad, slow, child = submit(store, "bad", "slow", new("child", needs=[0, 1]))
        first, second = claim(store, 2)
        finish(store, first, FAIL)
        in_parallel(partial(retry, store, bad), partial(finish, store, second))
        drain(store, "w2")
        assert states(store, bad, slow, child) == [State.PASSED] * 3


def test_submissions_with_one_key_at_once_save_one(store: Store) -> None:
    key = IdempotencyKey("default", "k", "d")
    made = [new("unit") for _ in range(8)]

    def save(job: NewJob) -> str | None:
        return store.write(lambda tx: submits.submit(tx, [job], key=key))

    answers = in_parallel(*[partial(save, job) for job in made])
    assert answers.count(None) == 1
    (saved,) = {answer for answer in answers if answer}
    assert saved == made[answers.index(None)].id
    assert len(claim(store, 10)) == 1


def test_submissions_that_found_the_same_group_at_once_share_it(store: Store) -> None:
    in_parallel(*[partial(submit, store, new("unit", org_id="fresh")) for _ in range(8)])
    assert len(claim(store, 10)) == 8


def submit_many(url: str, name: str, count: int) -> list[int]:
    store = Store(url)
    try:
        return [seq for _ in range(count) for seq in submit(store, name)]
    finally:
        store.close()


def test_processes_that_submit_at_once_wait_for_each_other_unseen(store: Store) -> None:
    """On SQLite, "database is locked" must reach nobody."""
    saved = in_processes(submit_many, *((store.url, f"from {n}", 12) for n in range(8)))
    seqs = list(chain(*saved))
    assert len(set(seqs)) == 96
    is_consistent(store, *seqs)


# Everything


class BusyYard:
    """Some submit, some work, one cancels and one suspects everybody of being dead."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.seqs: list[int] = []
        self.is_open = True

    def submit_some(self, name: str) -> None:
        for round_ in range(4):
            chained = [new("job", needs=[n - 1] if n % 3 else []) for n in range(9)]
            self.seqs += submit(self.store, *chained, batch=f"b-{name}-{round_}")

    def submit_and_close(self) -> None:
        in_parallel(*[partial(self.submit_some, name) for name in "abc"])
        self.is_open = False

    def work(self, worker: str) -> None:
        is_idle = False
        while self.is_open or not is_idle:
            claimed = claim(self.store, 2, worker=worker)
            is_idle = not claimed
            for one in claimed:
                finish(self.store, one, FAIL if one.seq % 7 == 0 else PASS)

    def disturb(self) -> None:
        while self.is_open:
            lose(self.store, "w1", "w2")
            self.store.write(lambda tx: renew(tx, "w3", LEASE))
            cancel(self.store, *[seq for seq in list(self.seqs) if seq % 11 == 0])


def test_a_busy_yard_comes_to_rest(store: Store) -> None:
    yard = BusyYard(store)
    in_parallel(
        yard.submit_and_close, yard.disturb, *[partial(yard.work, w) for w in ("w1", "w2", "w3")]
    )
    lose(store, "w1", "w2", "w3")
    drain(store, "w4")
    is_consistent(store, *yard.seqs)
    with store.read() as tx:
        assert unfinished(tx, yard.seqs) == []
