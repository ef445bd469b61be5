"""``runyard template``, and ``runyard run -p``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from runyard import Runyard
from tests.support.background import stop_background_workers
from tests.support.commands import call, quiet_home, runyard

FILE = """\
description: all suites
parameters:
  branch: main
  build:
tasks:
  - {name: "test {branch}", command: ["echo", "{build}"], matrix: {os: [linux, mac]}}
"""


@pytest.fixture(autouse=True)
def stopped(home: Path) -> Iterator[None]:
    """Ends the workers that were started."""
    yield
    stop_background_workers(home)


@pytest.fixture
def saved(here: Path, way: str) -> None:
    (here / "f.yaml").write_text(FILE)
    said = call("template", "save", "nightly", "f.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out == "template nightly is saved; it needs build=…\n"


@pytest.mark.usefixtures("saved")
class TestTemplates:
    def test_list(self) -> None:
        head, line = call("template", "list").out.splitlines()

        assert head.split() == ["NAME", "ORG", "BY", "PARAMETERS", "DESCRIPTION"]
        assert line.split()[:2] == ["nightly", "default"]
        assert " branch=main build=…  " in line
        assert line.endswith(" all suites")
        (found,) = call("template", "list", "--json").json["templates"]
        assert found["name"] == "nightly"
        assert call("template").out == call("template", "list").out
        assert call("template", "--json").json["templates"] == [found]

    def test_what_is_shown_can_be_saved_again(self, here: Path) -> None:
        shown = call("template", "show", "nightly").out
        assert f"# runs in {here}" in shown
        assert yaml.safe_load(shown) == yaml.safe_load(FILE)
        document = call("template", "show", "nightly", "--json").json["document"]
        assert document == yaml.safe_load(FILE)

        said = runyard("template", "save", "again", "-", "--json", stdin=shown)
        assert said.json["document"] == document

    def test_run(self, monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
        quiet_home(monkeypatch)
        monkeypatch.chdir("/")  # it runs where it was saved
        said = call("template", "run", "nightly", "-p", "build=1.4", "-p", "branch=dev")

        with Runyard(background_worker=False) as yard:
            jobs = yard.list(batch=said.out.strip()).jobs
        assert [job.name for job in jobs] == ["test dev mac", "test dev linux"]
        assert [job.command for job in jobs] == [["echo", "1.4"]] * 2
        assert call("template", "run", "nightly").sentence == (
            "template nightly: the parameter 'build' needs a value"
        )

    @pytest.mark.parametrize("way", ["local"], indirect=True)
    def test_run_and_wait(self) -> None:
        said = runyard("template", "run", "nightly", "-p", "build=1.4", "--wait")

        assert (said.code, said.err) == (0, "2 passed\n")
        found = call("template", "run", "nightly", "-p", "build=", "--wait", "--json").json
        assert (found["name"], found["passed"]) == ("nightly", 2)

    def test_remove(self) -> None:
        assert call("template", "remove", "nightly", "--yes").out == "template nightly is removed\n"
        for command in (["remove", "--yes"], ["show"], ["run"]):
            said = call("template", *command, "nightly")

            assert said.code == 2
            assert said.sentence == "there is no template 'nightly'"
        assert call("template", "list", "--json").json == {"templates": []}

    def test_another_org_has_its_own(self) -> None:
        assert call("template", "save", "nightly", "f.yaml", "--org-id", "acme").code == 0
        found = call("template", "list", "--json").json["templates"]
        assert [template["org_id"] for template in found] == ["acme", "default"]
        said = call("template", "remove", "nightly", "--yes", "--org-id", "acme", "--json")
        assert said.json["removed"]
        assert call("template", "show", "nightly").code == 0


def test_a_file_that_is_none(here: Path) -> None:
    (here / "f.yaml").write_text("tasks: 3")

    said = call("template", "save", "t", "f.yaml")
    assert said.code == 2
    assert said.sentence == "template t: tasks: must be a list, not a number"


def test_run_takes_parameters_too(here: Path) -> None:
    (here / "f.yaml").write_text(FILE)

    assert runyard("run", "f.yaml", "-p", "build=1.4").code == 0
    said = call("run", "f.yaml", "-p", "biuld=1.4")
    assert said.code == 2
    assert "no parameter is called 'biuld': there are branch, build" in said.sentence
