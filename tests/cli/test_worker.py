"""``worker`` and ``init-db``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.domain.job import State
from tests.support.commands import COMMAND, call, quiet_home, runyard, shell, submitted
from tests.support.processes import eventually
from tests.support.working import WorkerProcess

pytestmark = pytest.mark.usefixtures("here", "quiet")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_home(monkeypatch)


@pytest.fixture
def yard(home: Path) -> Iterator[Runyard]:
    with Runyard(background_worker=False) as yard:
        yield yard


def test_it_says_who_it_is(home: Path) -> None:
    said = runyard("worker", "--slots", "3", "--exit-when-idle", "0.1")

    assert (said.code, said.out) == (0, "")
    first = said.err.splitlines()[0]
    assert first.startswith("worker-")
    assert first.endswith(f": 3 slots, {home}")


def test_with_json_that_is_the_one_object() -> None:
    said = runyard("worker", "--exit-when-idle", "0.1", "--json")

    found = json.loads(said.out)
    assert found["slots"] == os.cpu_count()
    assert found["worker"].startswith("worker-")
    assert said.out.count("\n") == 1


def test_it_runs_what_waits_and_leaves_when_it_is_told_to_idle_no_longer(yard: Runyard) -> None:
    jobs = [submitted("true") for _ in range(5)]
    delayed = submitted("--delay", "300ms", "true")

    assert runyard("worker", "--exit-when-idle", "100ms").code == 0

    assert {yard.get(job).state for job in [*jobs, delayed]} == {State.PASSED}


def test_targets_may_be_several(yard: Runyard) -> None:
    jobs = [submitted("--target", target, "true") for target in ("a", "b", "c")]

    said = runyard("worker", "--target", "a", "--target", "b", "--exit-when-idle", "0.1")

    assert said.code == 0
    assert [yard.get(job).state for job in jobs] == ["passed", "passed", "queued"]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_it_works_with_its_standard_streams_closed(yard: Runyard, closed: str) -> None:
    """As some service managers start it."""
    jobs = [
        submitted("cat; echo out; echo err >&2"),
        submitted("--kind", "python", "import sys; print('out'); sys.exit('err')"),
    ]

    shell(f"runyard worker --exit-when-idle 0.1 {closed}")

    assert [yard.get(job).state for job in jobs] == ["passed", "failed"]
    assert [yard.logs(job) for job in jobs] == [("out\n", "err\n")] * 2


def test_ctrl_c_at_the_terminal_reaches_the_worker_and_not_its_jobs(
    yard: Runyard, here: Path
) -> None:
    """The terminal sends it to the whole group in front."""
    job = submitted("touch on; while [ ! -e go ]; do sleep 0.02; done")
    worker = subprocess.Popen(
        [*COMMAND, "worker"], start_new_session=True, stderr=subprocess.DEVNULL
    )
    eventually((here / "on").exists)
    os.killpg(worker.pid, signal.SIGINT)
    (here / "go").touch()

    assert worker.wait(30) == 0
    assert yard.get(job).state is State.PASSED


def test_two_may_share_a_home(yard: Runyard) -> None:
    meet = "touch $$.here; until [ $(ls | grep -c here) -ge 4 ]; do sleep 0.02; done"
    batch = yard.submit_batch({"command": meet} for _ in range(40))
    with WorkerProcess(slots=2) as one, WorkerProcess(slots=2) as other:
        jobs = yard.wait(batch, 60)

    assert {job.state for job in jobs} == {State.PASSED}
    assert {job.attempts[0].worker for job in jobs} == {one.id, other.id}


class TestInitDb:
    def test_it_makes_the_database_and_may_be_repeated(self, home: Path) -> None:
        for _ in range(2):
            said = call("init-db")
            assert (said.code, said.err) == (0, "")
            assert str(home / "runyard.db") in said.out
        assert (home / "runyard.db").exists()
        assert str(home) in call("init-db", "--json").json["database"]

    def test_it_shows_no_password(self, pg_url: str) -> None:
        said = runyard("init-db", RUNYARD_DATABASE_URL=pg_url.replace("@", ":secret@"))

        assert said.code == 0
        assert "secret" not in said.out + said.err

    def test_many_at_once_make_it_once(self, tmp_path: Path) -> None:
        environment = {**os.environ, "RUNYARD_HOME": str(tmp_path / "new")}
        commands = [
            subprocess.Popen(
                [sys.executable, "-m", "runyard", "init-db"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(4)
        ]
        for command in commands:
            out, err = command.communicate(timeout=90)
            assert (command.returncode, err) == (0, b"")
            assert b"is ready" in out
