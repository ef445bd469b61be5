"""``runyard schedule``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.background import background_workers, stop_background_workers
from tests.support.commands import call, quiet_home, runyard

NIGHTLY = ("nightly", "--template=t", "--cron=0 2 * * *", "--timezone=Europe/Prague")


@pytest.fixture(autouse=True)
def stopped(home: Path) -> Iterator[None]:
    """Ends the workers that were started."""
    yield
    stop_background_workers(home)


@pytest.fixture(autouse=True)
def template(here: Path, way: str) -> None:
    (here / "t.yaml").write_text("{command: 'test {branch}', parameters: {branch: main}}")
    assert call("template", "save", "t", "t.yaml").code == 0


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_home(monkeypatch)


@pytest.mark.usefixtures("quiet")
class TestSchedule:
    def test_add(self) -> None:
        said = call(
            "schedule", "add", *NIGHTLY, "-p", "branch=dev", "--missed=skip", "--overlap=allow"
        )

        assert (said.code, said.err) == (0, "")
        assert said.out.startswith("schedule nightly is added; it is due next at 2")
        assert said.out.endswith("0:00.000Z\n")
        (found,) = call("schedule", "list", "--json").json["schedules"]
        assert found["parameters"] == {"branch": "dev"}
        assert (found["missed"], found["overlap"]) == ("skip", "allow")
        assert found["paused_at"] is None
        again = call("schedule", "add", *NIGHTLY)
        assert again.code == 1
        assert "there is a schedule 'nightly' already" in again.sentence

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["n", "--template=t", "--cron=0 2 * *"], "it has five fields"),
            (["n", "--template=u", "--cron=0 2 * * *"], "there is no template 'u'"),
            ([*NIGHTLY[:3], "--timezone=Mars"], "there is no time zone 'Mars'"),
            ([*NIGHTLY, "-p", "x=y"], "no parameter is called 'x': there are branch"),
        ],
    )
    def test_what_is_wrong_is_said(self, arguments: list[str], words: str) -> None:
        said = call("schedule", "add", *arguments)

        assert said.code == 2
        assert words in said.sentence

    def test_list(self) -> None:
        call("schedule", "add", *NIGHTLY)
        head, line = call("schedule", "list").out.splitlines()

        assert head.split() == ["NAME", "ORG", "TEMPLATE", "CRON", "NEXT", "LAST", "BATCH"]
        assert line.split()[:3] == ["nightly", "default", "t"]
        assert " 0 2 * * * " in line
        assert line.endswith(" -")
        assert call("schedule").out.splitlines() == [head, line]

    def test_next(self) -> None:
        call("schedule", "add", *NIGHTLY)
        times = call("schedule", "next", "nightly", "--count", "3").out.splitlines()
        assert len(times) == 3
        assert all(" 02:00+0" in time for time in times)

        found = call("schedule", "next", "nightly", "--json").json["next"]
        assert len(found) == 5
        assert all(datetime.fromisoformat(time).hour == 2 for time in found)

    def test_pause_and_resume(self) -> None:
        call("schedule", "add", *NIGHTLY)
        assert call("schedule", "pause", "nightly").out == "schedule nightly is paused\n"
        assert "paused" in call("schedule", "list").out
        assert call("schedule", "pause", "nightly", "--json").json["next_at"] is None
        said = call("schedule", "resume", "nightly").out
        assert said.startswith("schedule nightly goes on; it is due next at 2")

    def test_remove(self) -> None:
        call("schedule", "add", *NIGHTLY)
        said = call("template", "remove", "t", "--yes")
        assert said.code == 1
        assert said.sentence == "the schedule 'nightly' runs it: remove that first"

        assert call("schedule", "remove", "nightly", "--yes").out == "schedule nightly is removed\n"
        for command in (["remove", "--yes"], ["pause"], ["resume"], ["next"]):
            said = call("schedule", *command, "nightly")
            assert said.code == 2
            assert said.sentence == "there is no schedule 'nightly'"


@pytest.mark.parametrize("way", ["local"], indirect=True)
def test_a_worker_comes_for_it_and_after_a_pause_again(home: Path) -> None:
    assert runyard("schedule", "add", *NIGHTLY).code == 0
    assert len(background_workers(home)) == 1
    call("schedule", "pause", "nightly")
    stop_background_workers(home)
    assert runyard("schedule", "resume", "nightly", "--json").json["paused_at"] is None

    assert len(background_workers(home)) == 1
