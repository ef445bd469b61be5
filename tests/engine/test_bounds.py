"""A worker looks again at what a job asks for, just before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from runyard import Runyard, bootstrap
from runyard.config import Settings
from runyard.domain.event import EventKind
from runyard.domain.job import Job, JobSpec, Kind, Reason
from runyard.errors import InvalidRequest
from tests.support.working import work


def detail(yard: Runyard, job: Job) -> str:
    ended = yard.get(job)
    assert (ended.state, ended.reason) == ("failed", Reason.NOT_STARTED)
    (failed,) = [e for e in yard.events(job) if e.kind is EventKind.FAILED]
    return str(failed.data["detail"])


def test_what_was_submitted_elsewhere_has_to_be_inside_here(
    yard: Runyard, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    outside = [yard.submit("pwd", cwd=str(path)) for path in (tmp_path, root / "link")]
    missing, inside = yard.submit("pwd", cwd=f"{root}/gone"), yard.submit("pwd", cwd=str(root))
    monkeypatch.setenv("ALLOWED_WORKDIRS", str(root))
    work(home)

    for job in outside:
        assert f"is not inside of {root}, where jobs may run" in detail(yard, job)
    assert detail(yard, missing) == f"no such directory: {root}/gone"
    assert yard.logs(inside)[0] == f"{root}\n"


def test_a_directory_that_went_after_it_was_submitted(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    (root / "below").mkdir(parents=True)
    monkeypatch.setenv("ALLOWED_WORKDIRS", str(root))
    with Runyard(background_worker=False) as yard:
        job = yard.submit("pwd", cwd=str(root / "below"))
        with pytest.raises(InvalidRequest, match="is not inside of"):
            yard.submit("pwd", cwd=str(tmp_path))
        (root / "below").rmdir()
        (root / "below").symlink_to(tmp_path)
        work(home)

        assert "is not inside of" in detail(yard, job)


@pytest.mark.parametrize("kind", ["shell", "python"])
def test_a_job_that_names_no_directory_begins_in_the_default_one(
    yard: Runyard, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.setenv("DEFAULT_WORKING_DIR", str(tmp_path))
    show = {"shell": "pwd", "python": "import os; print(os.getcwd())"}[kind]
    jobs = [submit_as_it_is(home, show, kind, cwd) for cwd in (None, "below", "/")]
    work(home)

    seen = [yard.logs(job)[0].strip() for job in jobs]
    assert seen == [str(tmp_path), str(tmp_path / "below"), "/"]


def submit_as_it_is(home: Path, command: str, kind: str, cwd: str | None) -> str:
    """Without the current directory that a client adds."""
    settings = Settings.load(home)
    store = bootstrap.open_store(settings)
    try:
        spec = JobSpec(command=command, kind=Kind(kind), cwd=cwd)
        return bootstrap.jobs(settings, store).submit(spec).id
    finally:
        store.close()


def test_the_time_of_a_job_that_names_none_is_limited(
    yard: Runyard, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [yard.submit("sleep 600"), yard.submit("sleep 600", timeout=500)]
    monkeypatch.setenv("COMMAND_TIMEOUT_SECONDS", "0.2")
    work(home)

    assert [yard.get(job).reason for job in jobs] == [Reason.TIMEOUT] * 2
