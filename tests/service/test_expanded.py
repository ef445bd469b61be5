"""Jobs with a matrix among others, on their way into the store."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from runyard.domain.job import JobSpec
from runyard.errors import InvalidGraph, InvalidRequest
from runyard.service.drafts import expanded, validated

AXES = {"os": ["linux", "mac"]}


def names(*jobs: JobSpec | dict[str, Any], **common: Any) -> list[str]:
    return [spec.name for spec in expanded(jobs, **common)]


def job(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "command": ["true"], **fields}


def test_each_combination_is_a_job() -> None:
    specs = list(expanded([job("a"), job("t", matrix=AXES, working_dir="/{os}"), job("z")]))

    assert [spec.name for spec in specs] == ["a", "t linux", "t mac", "z"]
    assert [spec.cwd for spec in specs] == [None, "/linux", "/mac", None]
    assert specs[1].labels == {"os": "linux"}


def test_the_matrix_of_a_batch_is_for_those_that_have_none() -> None:
    spec = JobSpec(name="spec {os}", command="echo {os}")
    made = list(expanded([job("t"), job("once", matrix={}), spec], AXES))

    assert [one.name for one in made] == [
        "t linux",
        "t mac",
        "once",
        "spec linux",
        "spec mac",
    ]
    assert (made[3].command, made[3].kind) == ("echo linux", "shell")
    assert names(job("t"), matrix=AXES, exclude=[{"os": "mac"}]) == ["t linux"]


def test_who_depends_on_it_depends_on_its_variants() -> None:
    *_, last = expanded([job("t", matrix=AXES), JobSpec(command="x", depends_on=["t"])])

    assert last.depends_on == ["t linux", "t mac"]


def test_jobs_without_are_not_kept() -> None:
    """An endless iterator could not be."""

    def endless() -> Iterator[dict[str, Any]]:
        for number in itertools.count():
            yield job(f"j{number}")

    assert [spec.name for spec in itertools.islice(expanded(endless()), 3)] == ["j0", "j1", "j2"]


@pytest.mark.parametrize(
    ("jobs", "sentence"),
    [
        ([job("t", matrix={"a": "x"})], "jobs[0] ('t'): matrix.a: must be a list of values"),
        ([job("", matrix={"a": []})], "jobs[0]: matrix.a: has no values"),
        ([job("t", matrix={}, exclude=[{"b": "x"}])], "jobs[0] ('t'): exclude[0]: the matrix"),
        ([job("t", matrix=AXES, cwd="", working_dir="")], "working_dir and cwd mean the same"),
        ([job("t", matrix=AXES, timeout="{os}")], "jobs[0] ('t linux').timeout: Input should"),
        ([job("t", matrix=AXES, timeut=3)], "jobs[0] ('t linux'): unknown field 'timeut': did"),
        ([job("t", matrix=AXES, labels=[])], "jobs[0] ('t linux').labels: Input should be"),
        ([job("t", matrix=AXES, depends_on="t")], "jobs[0] ('t linux').depends_on: Input"),
    ],
)
def test_what_is_wrong_is_one_sentence(jobs: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        list(expanded(jobs))
    assert str(refusal.value).startswith(sentence)


def test_a_matrix_that_has_no_fitting_variant() -> None:
    with pytest.raises(InvalidGraph, match="'u win' needs 't'"):
        names(job("t", matrix=AXES), job("u", matrix={"os": ["win"]}, depends_on=["t"]))


def test_one_job_is_not_many() -> None:
    with pytest.raises(InvalidRequest, match="submit_many and submit_batch take it"):
        validated(job("t", matrix=AXES))
