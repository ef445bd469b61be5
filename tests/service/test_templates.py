"""Save and run templates: what is checked when, whose jobs they are, who may do what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from runyard.config import Home
from runyard.domain.job import Job
from runyard.domain.listing import AuditFilter
from runyard.domain.user import Actor, Role, TokenScope
from runyard.errors import (
    Conflict,
    Forbidden,
    InvalidGraph,
    InvalidJobFile,
    InvalidRequest,
    NotFound,
    RunyardError,
)
from runyard.service.jobs import Jobs
from runyard.service.templates import Templates
from runyard.store import audit
from runyard.store.database import Store

ANN = Actor("ann", Role.MEMBER, "acme", user_id=1)
BOB = Actor("bob", Role.MEMBER, "acme", user_id=2)
OTHER = Actor("oli", Role.MEMBER, "other", user_id=3)
VIEWER = Actor("vic", Role.VIEWER, "acme", user_id=4)
READER = Actor("ann", Role.MEMBER, "acme", TokenScope.READ, user_id=1)
ADMIN = Actor("ada", Role.ADMIN, "default", user_id=5)
LOCAL = Actor("root")

NIGHTLY = {
    "name": "nightly of {branch}",
    "description": "all of {build}",
    "parameters": {"branch": "main", "build": None},
    "matrix": {"os": ["linux", "{branch}"]},
    "tasks": [
        {
            "name": "test",
            "command": "test {os} --build {build}",
            "labels": {"branch": "{branch}"},
            "timeout": "60",
        }
    ],
}


class House:
    """One store as several people see it."""

    def __init__(self, store: Store, root: Path) -> None:
        self.store = store
        self.home = Home(root).prepare()

    def __call__(self, actor: Actor) -> Templates:
        return Templates(self.store, Jobs(self.store, self.home, actor), actor)

    def jobs(self, batch_id: str) -> list[Job]:
        return Jobs(self.store, self.home, LOCAL).members([batch_id])


@pytest.fixture
def house(store: Store, tmp_path: Path) -> House:
    return House(store, tmp_path / "home")


class TestSave:
    def test_what_was_saved_is_there(self, house: House) -> None:
        saved = house(ANN).save("nightly", NIGHTLY, directory="/srv")

        assert house(ANN).get("nightly") == saved
        assert (saved.org_id, saved.created_by, saved.directory) == ("acme", "ann", "/srv")
        assert (saved.document, saved.description) == (NIGHTLY, "all of {build}")
        assert [(p.name, p.default) for p in saved.parameters] == [
            ("branch", "main"),
            ("build", None),
        ]
        with house.store.read() as tx:
            (entry,) = audit.page(tx, AuditFilter("ann"), 9, None)
        assert (entry.action, entry.subject) == ("template.save", "acme/nightly")

    def test_the_fields_of_one_job_are_enough(self, house: House) -> None:
        job = {"command": "echo {x}", "working_dir": "/srv", "parameters": {"x": "1"}}
        saved = house(ANN).save("one", {**job, "matrix": {"n": [1, 2]}})

        assert saved.document == {
            "parameters": {"x": "1"},
            "matrix": {"n": [1, 2]},
            "tasks": [{"name": "one", "command": "echo {x}", "working_dir": "/srv"}],
        }
        batch = house(ANN).run("one", {})
        assert [job.name for job in house.jobs(batch.id)] == ["one 1", "one 2"]

    @pytest.mark.parametrize(
        ("document", "error", "sentence"),
        [
            ([], InvalidJobFile, "template t: it is a job file, or the fields of one job"),
            ({}, InvalidJobFile, 'template t: there is no "tasks"'),
            ({"tasks": [{}]}, InvalidJobFile, "template t: tasks[0]: has no name"),
            ({"tasks": [], "parameters": []}, InvalidJobFile, "parameters: must be an object"),
            ({"tasks": [{"nam": 1}]}, InvalidJobFile, "unknown field 'nam'"),
            (
                {"parameters": {"x": None}, "tasks": [{"name": "{x}", "comand": "x"}]},
                InvalidJobFile,
                "unknown field 'comand'",
            ),
            ({"parameters": {"x": None}}, InvalidJobFile, 'there is no "tasks"'),
            ({"command": "x", "comment": 1}, InvalidRequest, "unknown field 'comment'"),
            ({"command": "x", "timeout": 0}, InvalidJobFile, "tasks[0].timeout: input should be"),
            ({"command": "x", "payload": float("nan")}, InvalidJobFile, "no finite number"),
            ({"command": "x" * (1 << 20)}, InvalidRequest, "at most 1 MiB"),
            ({"command": "x", "depends_on": ["t"]}, InvalidGraph, "'t' needs itself"),
            ({"command": "x", "org_id": "other"}, InvalidRequest, "is of acme, and its job"),
        ],
        ids=str,
    )
    def test_what_could_not_be_run_is_refused(
        self, house: House, document: Any, error: type[RunyardError], sentence: str
    ) -> None:
        with pytest.raises(error) as refusal:
            house(ANN).save("t", document)
        assert sentence in str(refusal.value)
        assert house(ANN).page() == []

    @pytest.mark.parametrize("name", ["", "-x", "a/b", "a b", "é", "x" * 101, "x\n"])
    def test_a_name_is_a_word(self, house: House, name: str) -> None:
        with pytest.raises(InvalidRequest, match="is no name for a template"):
            house(ANN).save(name, {"command": "true"})


class TestRun:
    def test_parameters_are_filled_in_beside_the_axes(self, house: House) -> None:
        house(LOCAL).save("nightly", NIGHTLY, org_id="acme")
        batch = house(ANN).run("nightly", {"build": "1.4 & more"})

        assert (batch.name, batch.description) == ("nightly of main", "all of 1.4 & more")
        assert {job.name: job.command for job in house.jobs(batch.id)} == {
            "test linux": "test linux --build '1.4 & more'",
            "test main": "test main --build '1.4 & more'",
        }
        job = house.jobs(batch.id)[0]
        assert (job.org_id, job.submitted_by) == ("acme", "ann")
        assert job.labels == {"template": "nightly", "branch": "main", "os": "linux"}

    def test_relative_directories_start_from_where_it_was_saved(self, house: House) -> None:
        tasks = [
            {"name": "none", "command": "x"},
            {"name": "relative", "command": "x", "cwd": "a/../{p}"},
            {"name": "absolute", "command": "x", "cwd": "{q}"},
        ]
        document = {"parameters": {"p": "b", "q": "/c"}, "tasks": tasks}
        cases = {"/srv": ["/srv", "/srv/b", "/c"], None: [None, "a/../b", "/c"]}
        for directory, expected in cases.items():
            house(ANN).save("t", document, directory=directory)
            batch = house(ANN).run("t", {})

            assert directories(house, batch.id) == expected

    def test_a_value_that_fits_nowhere(self, house: House) -> None:
        task = {"name": "t", "command": "x", "timeout": "{seconds}"}
        house(ANN).save("t", {"parameters": {"seconds": None}, "tasks": [task]})
        for given, sentence in {
            "soon": "template t: tasks[0].timeout: input should be a valid number",
            "0": "template t: tasks[0].timeout: input should be greater than 0",
        }.items():
            with pytest.raises(InvalidJobFile) as refusal:
                house(ANN).run("t", {"seconds": given})
            assert str(refusal.value).startswith(sentence)
        with pytest.raises(InvalidRequest, match="template t: the parameter 'seconds' needs"):
            house(ANN).run("t", {})
        with pytest.raises(InvalidRequest, match="template t: no parameter is called 'x'"):
            house(ANN).run("t", {"x": "1"})

    def test_a_key_makes_it_happen_once(self, house: House) -> None:
        house(ANN).save("t", {"command": "x {p}", "parameters": {"p": "1"}})
        first = house(ANN).run("t", {}, idempotency_key="k")

        assert house(ANN).run("t", {}, idempotency_key="k").id == first.id
        with pytest.raises(Conflict):
            house(ANN).run("t", {"p": "2"}, idempotency_key="k")

    def test_a_parameter_is_no_axis(self, house: House) -> None:
        with pytest.raises(InvalidJobFile, match="matrix: 'os' is a parameter already"):
            house(ANN).save("t", {**NIGHTLY, "parameters": {"os": "x", "branch": "", "build": ""}})


def directories(house: House, batch_id: str) -> list[str | None]:
    query = text(
        "SELECT spec FROM job_specs s JOIN jobs j ON j.seq = s.job_seq JOIN batches b"
        " ON b.seq = j.batch_seq WHERE b.id = :id ORDER BY j.seq"
    )
    with house.store.read() as tx:
        specs = tx.conn.execute(query, {"id": batch_id}).scalars()
        return [json.loads(spec).get("cwd") for spec in specs]


class TestRoles:
    @pytest.fixture(autouse=True)
    def of_ann(self, house: House) -> None:
        house(ANN).save("mine", {"command": "true"})

    def test_everybody_of_the_org_sees_and_members_run(self, house: House) -> None:
        for actor in (ANN, BOB, VIEWER, READER):
            assert [t.name for t in house(actor).page()] == ["mine"]
        batch = house(BOB).run("mine", {})
        assert house.jobs(batch.id)[0].submitted_by == "bob"
        for actor in (VIEWER, READER):
            with pytest.raises(Forbidden):
                house(actor).run("mine", {})

    def test_only_its_owner_changes_it(self, house: House) -> None:
        for actor in (BOB, VIEWER, READER):
            with pytest.raises(Forbidden):
                house(actor).save("mine", {"command": "false"})
            with pytest.raises(Forbidden):
                house(actor).remove("mine")
        house(ADMIN).save("mine", {"command": "false"}, org_id="acme")
        house(ANN).remove("mine")
        assert house(ANN).page() == []

    def test_another_org_does_not_know_of_it(self, house: House) -> None:
        templates = house(OTHER)
        assert templates.page() == []
        for org in (None, "acme"):
            with pytest.raises(NotFound, match="there is no template 'mine'"):
                templates.get("mine", org)
            with pytest.raises(NotFound):
                templates.run("mine", {}, org_id=org)
            with pytest.raises(NotFound):
                templates.remove("mine", org)
        with pytest.raises(Forbidden):
            templates.save("mine", {"command": "x"}, org_id="acme")

    def test_an_admin_sees_all(self, house: House) -> None:
        house(OTHER).save("theirs", {"command": "true"})

        first, *rest = house(ADMIN).page(1)
        assert (first.org_id, rest) == ("acme", [])
        assert [t.org_id for t in house(ADMIN).page(after=(first.org_id, first.name))] == ["other"]
        batch = house(ADMIN).run("theirs", {}, org_id="other")
        job = house.jobs(batch.id)[0]
        assert (job.org_id, job.submitted_by) == ("other", "ada")
