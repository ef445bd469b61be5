"""The pruner deletes what ended long ago: rows and files."""

from __future__ import annotations

from pathlib import Path

from runyard import Runyard
from runyard.clock import ManualClock
from runyard.engine.pruner import Pruner
from runyard.execution import logs
from runyard.store import finish as finishes
from runyard.store.database import Store
from runyard.store.finish import Ended
from runyard.store.prune import CHUNK
from tests.store.support import PASS, claim, submit

DAY = 86400.0


def finished(store: Store, home: Path, count: int) -> list[str]:
    """Ended jobs with logs; returns their ids."""
    submit(store, *(f"job{n}" for n in range(count)))
    claimed = claim(store, slots=count)
    store.write(lambda tx: finishes.finish(tx, [Ended(c.seq, c.fence, PASS) for c in claimed]))
    for job in claimed:
        paths = logs.paths(home / "logs", job.id, 1)
        paths.stdout.parent.mkdir(parents=True, exist_ok=True)
        paths.stdout.write_text("out")
        paths.stderr.write_text("err")
    return [job.id for job in claimed]


def files(home: Path) -> list[Path]:
    return [path for path in (home / "logs").rglob("*") if path.is_file()]


def test_what_is_older_than_the_retention_goes_with_its_logs(
    yard: Runyard, store: Store, home: Path, clock: ManualClock
) -> None:
    finished(store, home, 2)
    clock.advance(2 * DAY)
    (kept,) = finished(store, home, 1)
    clock.advance(1.5 * DAY)

    assert Pruner(store, home / "logs", 3 * DAY)() is None

    assert [job.id for job in yard.list().jobs] == [kept]
    assert {path.name.partition(".")[0] for path in files(home)} == {kept}


def test_many_go_some_at_a_time(
    yard: Runyard, store: Store, home: Path, clock: ManualClock
) -> None:
    finished(store, home, CHUNK + 1)
    clock.advance(2 * DAY)
    prune = Pruner(store, home / "logs", DAY)

    assert prune() == 0.0
    assert len(yard.list(limit=1000).jobs) == 1
    assert prune() is None
    assert yard.list().jobs == []
    assert files(home) == []


def test_logs_that_are_gone_already_do_not_stop_it(
    store: Store, home: Path, clock: ManualClock
) -> None:
    finished(store, home, 2)
    for path in files(home):
        path.unlink()
    clock.advance(2 * DAY)

    assert Pruner(store, home / "logs", DAY)() is None


def test_an_unfinished_job_stays_however_old_it_is(
    yard: Runyard, store: Store, home: Path, clock: ManualClock
) -> None:
    submit(store, "waiting")
    clock.advance(1000 * DAY)
    Pruner(store, home / "logs", DAY)()

    assert len(yard.list().jobs) == 1
