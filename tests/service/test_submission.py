"""Submission: what is expected of jobs decides which of equals starts first."""

from __future__ import annotations

from collections.abc import Iterable

from runyard.domain.job import JobSpec
from runyard.policy.estimate import UNKNOWN_SECONDS
from runyard.service import submission
from runyard.store.durations import Key
from runyard.store.submit import NewJob


def spec(name: str, *depends_on: str) -> JobSpec:
    return JobSpec(name=name, command=["run", name], depends_on=list(depends_on))


def prepared(*specs: JobSpec, **seconds: float) -> dict[str, NewJob]:
    keys = {("local", spec.history_key): spec.name for spec in specs}

    def expected(wanted: Iterable[Key]) -> dict[Key, float]:
        return {key: seconds[keys[key]] for key in wanted if keys[key] in seconds}

    return {row.name: row for row in submission.prepare(specs, "ann", expected)}


def test_a_job_is_expected_to_take_what_it_took() -> None:
    rows = prepared(spec("known"), spec("new"), known=7.0)
    assert (rows["known"].expected, rows["known"].bottom_level) == (7.0, 7.0)
    assert (rows["new"].expected, rows["new"].bottom_level) == (None, UNKNOWN_SECONDS)


def test_the_longest_path_is_measured_in_seconds() -> None:
    rows = prepared(
        spec("compile"),
        spec("unit", "compile"),
        spec("e2e", "compile"),
        spec("report", "unit", "e2e"),
        compile=5.0,
        unit=10.0,
        e2e=60.0,
        report=1.0,
    )
    assert {name: row.bottom_level for name, row in rows.items()} == {
        "compile": 66.0,
        "unit": 11.0,
        "e2e": 61.0,
        "report": 1.0,
    }


def test_whoever_submits_is_noted() -> None:
    assert prepared(spec("a"))["a"].submitted_by == "ann"


def test_the_same_command_has_the_same_history() -> None:
    assert JobSpec(command=["a", "b"]).history_key == JobSpec(command=["a", "b"]).history_key
    others = [
        JobSpec(command=["a", "b"]),
        JobSpec(command=["a b"]),
        JobSpec(command="a b"),
        JobSpec(command="a b", kind="python"),
    ]
    assert len({other.history_key for other in others}) == len(others)


def test_a_test_is_known_by_its_spec() -> None:
    assert JobSpec(kind="test", command="tests/login.js").history_key == "tests/login.js"
