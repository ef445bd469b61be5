"""A full disk: nothing acknowledged is lost, and all goes on once there is room."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.config import Settings
from runyard.domain.job import State
from runyard.errors import StoreFull
from tests.support.background import stop_background_workers
from tests.support.commands import quiet_home, runyard
from tests.support.disks import mounted
from tests.support.processes import eventually
from tests.support.serving import serving
from tests.support.working import WorkerProcess

pytestmark = pytest.mark.usefixtures("here", "quiet")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_home(monkeypatch)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with little room."""
    with mounted(tmp_path / "small", "size=1500k") as path:
        yield path
        stop_background_workers(path)


def fill(yard: Runyard, ids: list[str]) -> None:
    while True:
        job = yard.submit(["true"], payload="x" * 50_000)
        ids.append(job.id)


def fill_up(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_what_was_acknowledged_is_kept_and_what_was_not_is_not_there(
    small_disk: Path,
) -> None:
    ids: list[str] = []
    with Runyard(small_disk, background_worker=False) as yard:
        with pytest.raises(StoreFull, match="no space left"):
            fill(yard, ids)

        said = runyard(
            "submit",
            "--payload",
            '"' + "x" * 100_000 + '"',
            "true",
            RUNYARD_HOME=str(small_disk),
        )
        assert said.code == 1
        assert "no space left" in said.sentence
        assert sorted(job.id for job in yard.list(limit=1000).jobs) == sorted(ids)


def test_a_worker_goes_on_once_there_is_room_again(small_disk: Path, here: Path) -> None:
    line = "touch on; while [ ! -e go ]; do sleep 0.02; done"
    with Runyard(small_disk, background_worker=False) as yard:
        jobs = [yard.submit(line), yard.submit(["true"])]
        with WorkerProcess(slots=1, home=small_disk) as worker:
            eventually((here / "on").exists)
            filler = small_disk / "filler"
            fill_up(filler)
            (here / "go").touch()
            time.sleep(2.5)  # it tries to save the result, and cannot
            assert yard.get(jobs[0]).state is State.RUNNING
            filler.unlink()

            assert {job.state for job in yard.wait(jobs, 60)} == {State.PASSED}
            assert len(yard.get(jobs[0]).attempts) == 1
            assert worker.process.poll() is None
            worker.send(signal.SIGTERM)
            worker.wait()
            log = worker.log()
    assert log.count("nothing is saved or started for now: no space left") == 1, log
    assert log.count("jobs start again") == 1, log


def test_whoever_looks_at_a_server_still_sees(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a token was used cannot be noted, which is no reason to refuse it."""
    monkeypatch.setenv("RUNYARD_HOME", str(small_disk))
    with serving(Settings.load()) as place:
        token = place.user("max")
        with Runyard(small_disk, background_worker=False) as yard:
            job = yard.submit(["true"])
        fill_up(small_disk / "filler")
        with place.client(token) as client:
            assert client.get("/api/v1/auth/me").json()["name"] == "max"
            assert client.get(f"/api/v1/jobs/{job.id}").json()["state"] == "queued"
            refused = client.post("/api/v1/jobs", json={"command": ["true"]})
            assert refused.status_code == 503
