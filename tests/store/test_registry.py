"""The registry: which workers are there."""

from runyard.clock import ManualClock
from runyard.store.database import Store
from runyard.store.leases import renew
from runyard.store.registry import WorkerInfo, forget_silent, live, sign_off, sign_on
from tests.store.support import LEASE, claim, submit


def worker(name: str, **fields: object) -> WorkerInfo:
    return WorkerInfo(**({"id": name, "host": "h", "pid": 1, "slots": 2} | fields))


def join(store: Store, *workers: WorkerInfo) -> None:
    for info in workers:
        store.write(lambda tx, info=info: sign_on(tx, info))


def present(store: Store, since: float = 0.0) -> list[str]:
    with store.read() as tx:
        return [info.id for info in live(tx, since)]


def test_a_worker_is_known_as_it_signed_on(store: Store, clock: ManualClock) -> None:
    phones = worker("w1", host="shelf", pid=77, pool="run-1", targets=("device", "emulator"))
    join(store, phones)
    with store.read() as tx:
        (known,) = live(tx, 0.0)
    assert known == worker(
        "w1",
        host="shelf",
        pid=77,
        pool="run-1",
        targets=("device", "emulator"),
        started_at=clock.now(),
        seen_at=clock.now(),
    )


def test_a_worker_for_all_targets_is_told_from_one_for_none(store: Store) -> None:
    join(store, worker("all", targets=None), worker("none", targets=()))
    with store.read() as tx:
        assert {info.id: info.targets for info in live(tx, 0.0)} == {"all": None, "none": ()}


def test_a_worker_that_signs_on_again_is_listed_once(store: Store) -> None:
    join(store, worker("w1"))
    join(store, worker("w1"))
    assert present(store) == ["w1"]


def test_a_worker_that_signs_off_is_forgotten(store: Store, clock: ManualClock) -> None:
    for name in ("w1", "w2", "w3"):
        join(store, worker(name))
        clock.advance(1)
    store.write(lambda tx: sign_off(tx, ["w1", "w3", "nobody"]))
    store.write(lambda tx: sign_off(tx, []))
    assert present(store) == ["w2"]


def test_only_workers_that_were_seen_lately_are_live(store: Store, clock: ManualClock) -> None:
    join(store, worker("silent"), worker("alive"))
    clock.advance(60)
    store.write(lambda tx: renew(tx, "alive", LEASE))
    assert present(store, since=clock.now() - 30) == ["alive"]


def test_silent_workers_are_forgotten_and_named(store: Store, clock: ManualClock) -> None:
    join(store, worker("silent"), worker("alive"))
    clock.advance(60)
    store.write(lambda tx: renew(tx, "alive", LEASE))
    gone = store.write(lambda tx: forget_silent(tx, clock.now() - 30))
    assert [info.id for info in gone] == ["silent"]
    assert present(store) == ["alive"]


def test_a_silent_worker_that_holds_a_lease_is_not_forgotten(
    store: Store, clock: ManualClock
) -> None:
    join(store, worker("silent"))
    submit(store, "unit")
    claim(store, worker="silent")
    clock.advance(60)
    assert store.write(lambda tx: forget_silent(tx, clock.now())) == []
    assert present(store) == ["silent"]
