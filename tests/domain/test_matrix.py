"""A matrix: how many jobs, which texts, which names, who depends on whom."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runyard.domain import matrix
from runyard.domain.job import JobSpec
from runyard.domain.matrix import Matrix, fan_out
from runyard.domain.placeholders import Wrong
from runyard.errors import InvalidGraph

NAMES = st.sampled_from(["a", "b", "os", "browser", "x-1", "_y"])
VALUES = st.lists(st.text("ab1 ", min_size=1, max_size=3), min_size=1, max_size=4, unique=True)
AXES = st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)


def read(axes: Any, exclude: Any = None) -> Matrix:
    found = Matrix.read(axes, exclude)
    assert found is not None
    return found


def made(fields: dict[str, Any], axes: Any, exclude: Any = None) -> list[dict[str, Any]]:
    return [job for _, job in fan_out([(fields, read(axes, exclude))])]


def graph(*jobs: tuple[dict[str, Any], Any]) -> dict[str, list[str]]:
    """Who depends on whom, by name."""
    found = fan_out([(fields, Matrix.read(axes)) for fields, axes in jobs])
    return {job["name"]: job.get("depends_on", []) for _, job in found}


@st.composite
def with_exclusions(draw: st.DrawFn) -> tuple[dict[str, list[str]], list[dict[str, str]]]:
    axes = draw(AXES)
    some = st.lists(st.sampled_from(sorted(axes)), min_size=1, max_size=len(axes), unique=True)
    return axes, [
        {axis: draw(st.sampled_from(axes[axis])) for axis in draw(some)}
        for _ in range(draw(st.integers(0, 3)))
    ]


class TestCombinations:
    @given(with_exclusions())
    def test_are_the_product_without_what_is_excluded(
        self, given_: tuple[dict[str, list[str]], list[dict[str, str]]]
    ) -> None:
        axes, exclude = given_
        full = read(axes).combinations
        assert len(full) == math.prod(map(len, axes.values()))
        assert len({tuple(one.items()) for one in full}) == len(full)

        left = [one for one in full if not any(out.items() <= one.items() for out in exclude)]
        if left:
            assert read(axes, exclude).combinations == left
        else:
            with pytest.raises(Wrong, match="leaves nothing"):
                read(axes, exclude)

    def test_the_last_axis_changes_first(self) -> None:
        found = read({"os": ["linux", "mac"], "browser": ["chromium", "firefox"]}).combinations

        assert [tuple(one.values()) for one in found] == [
            ("linux", "chromium"),
            ("linux", "firefox"),
            ("mac", "chromium"),
            ("mac", "firefox"),
        ]

    def test_whole_numbers_and_truth_values_are_text(self) -> None:
        found = read({"n": [1, 20], "fast": [True, False]}, [{"n": 1, "fast": False}])

        assert [tuple(one.values()) for one in found.combinations] == [
            ("1", "true"),
            ("20", "true"),
            ("20", "false"),
        ]

    def test_no_axes_mean_one_job(self) -> None:
        assert Matrix.read(None) is None
        assert Matrix.read({}) is None

    def test_there_is_a_bound(self) -> None:
        side = [str(n) for n in range(100)]
        assert len(read({"a": side, "b": side}).combinations) == matrix.MOST

        with pytest.raises(Wrong, match="has 20000 combinations; at most 10000"):
            Matrix.read({"a": side, "b": side, "c": ["x", "y"]}, [{"c": "y"}])
        with pytest.raises(Wrong, match="more than 100000 jobs"):
            fan_out([({"name": str(n)}, read({"a": side, "b": side})) for n in range(11)])


@pytest.mark.parametrize(
    ("axes", "exclude", "place", "text"),
    [
        ([], None, ("matrix",), "must be an object"),
        ({"a": "x"}, None, ("matrix", "a"), "must be a list of values"),
        ({"a": []}, None, ("matrix", "a"), "has no values"),
        ({"a": ["x", "x"]}, None, ("matrix", "a"), "has 'x' twice"),
        ({"a": ["1", 1]}, None, ("matrix", "a"), "has '1' twice"),
        ({"a": ["x", None]}, None, ("matrix", "a", 1), "must be text"),
        ({"a": [3.1]}, None, ("matrix", "a", 0), "put the number into quotes"),
        ({"a b": ["x"]}, None, ("matrix",), "'a b' is no name for an axis"),
        ({"": ["x"]}, None, ("matrix",), "'' is no name for an axis"),
        ({"a": ["x"], "exclude": [{}]}, None, ("matrix", "exclude"), "stands beside the matrix"),
        ({"a": ["x"]}, {"a": "x"}, ("exclude",), "must be a list of objects"),
        ({"a": ["x"]}, [{}], ("exclude", 0), "must be an object"),
        ({"a": ["x"]}, ["x"], ("exclude", 0), "must be an object"),
        ({"a": ["x"]}, [{"b": "x"}], ("exclude", 0), "has no axis 'b'"),
        ({"a": ["x"]}, [{"a": "y"}], ("exclude", 0, "a"), "the axis has no value 'y'"),
        ({"a": ["x"]}, [{"a": "x"}], ("exclude",), "leaves nothing"),
        (None, [{"a": "x"}], ("exclude", 0), "has no axis 'a'"),
        ({"a": ["x"]}, [{"a": "x"}] * 1001, ("exclude",), "more than 1000 entries"),
    ],
    ids=str,
)
def test_what_is_no_matrix(axes: Any, exclude: Any, place: tuple[Any, ...], text: str) -> None:
    with pytest.raises(Wrong, match=re.escape(text)) as wrong:
        Matrix.read(axes, exclude)
    assert wrong.value.place == place


FIELDS: dict[str, Any] = {
    "name": "login",
    "kind": "command",
    "command": ["test", "--browser={browser}", "{os}"],
    "env": {"BROWSER": "{browser}"},
    "cwd": "/srv/{os}",
    "labels": {"suite": "{browser}/{os}"},
    "payload": {"deep": [{"os": "{os}"}, 1, None, True]},
    "app_version_id": "{os}-1.4",
    "target": "{os}",
    "limit_key": "{browser}",
}


class TestTexts:
    def test_all_of_them_are_filled_in(self) -> None:
        (job,) = made(FIELDS, {"browser": ["chromium"], "os": ["linux"]})

        assert job == {
            "name": "login chromium linux",
            "kind": "command",
            "command": ["test", "--browser=chromium", "linux"],
            "env": {"BROWSER": "chromium"},
            "cwd": "/srv/linux",
            "labels": {"suite": "chromium/linux", "browser": "chromium", "os": "linux"},
            "payload": {"deep": [{"os": "linux"}, 1, None, True]},
            "app_version_id": "linux-1.4",
            "target": "linux",
            "limit_key": "chromium",
        }

    @given(AXES)
    def test_no_placeholder_is_left_and_names_are_unique(self, axes: dict[str, list[str]]) -> None:
        every = "".join(f"{{{axis}}}" for axis in axes)
        jobs = made({"name": f"n {every}", "command": ["x", every], "payload": [every]}, axes)

        assert not any("{" in str(job["command"] + job["payload"]) for job in jobs)
        assert len({job["name"] for job in jobs}) == len(jobs)
        assert made({"name": "x", "command": [every]}, axes) == made(
            {"name": "x", "command": [every]}, axes
        )
        for job in jobs:
            JobSpec.model_validate(job)

    def test_what_is_no_axis_stays_and_so_do_variables_of_the_shell(self) -> None:
        line = "for f in {a,b} {x} {}; do echo ${os} $os {os}; done; awk '{print}'"
        (job,) = made({"command": line}, {"os": ["mac"]})

        assert job["command"] == line.replace(" {os}", " mac")

    def test_a_shell_reads_a_value_as_one_word(self) -> None:
        evil = "a b; rm -rf $HOME"
        for kind in ({}, {"kind": "shell"}, {"kind": "exec"}):
            (job,) = made({"command": "echo {x}", **kind}, {"x": [evil]})
            assert job["command"] == f"echo '{evil}'"
        for fields in ({"command": ["echo", "{x}"]}, {"kind": "python", "command": "{x}"}):
            (job,) = made(fields, {"x": [evil]})
            assert job["command"] in (["echo", evil], evil)

    def test_what_a_value_brings_along_is_not_filled_in(self) -> None:
        assert made({"name": "{a}"}, {"a": ["{b}"], "b": ["{a}"]})[0]["name"] == "{b} {a}"

    def test_labels_of_its_own_are_kept(self) -> None:
        (job,) = made({"labels": {"os": "mine"}}, {"os": ["mac"], "n": ["1"]})

        assert job["labels"] == {"os": "mine", "n": "1"}

    def test_a_name_gets_what_it_does_not_mention(self) -> None:
        axes = {"a": ["1", "11"], "b": ["1", "11"]}
        assert [job["name"] for job in made({"name": "n{a}"}, axes)] == [
            "n1 1",
            "n1 11",
            "n11 1",
            "n11 11",
        ]

    def test_a_name_that_would_be_the_same_twice_gets_all(self) -> None:
        names = [job["name"] for job in made({"name": "{a}{b}"}, {"a": [1, 11], "b": [1, 11]})]
        assert names == ["11 1 1", "111 1 11", "111 11 1", "1111 11 11"]

    def test_names_that_are_the_same_even_then_are_numbered(self) -> None:
        axes = {"a": ["1", "1 1"], "b": ["1", "1 1"]}
        names = [job["name"] for job in made({"name": "n"}, axes)]
        assert names == ["n 1 1 (1)", "n 1 1 1 (2)", "n 1 1 1 (3)", "n 1 1 1 1 (4)"]

    def test_no_name_stays_none(self) -> None:
        assert [job.get("name") for job in made({"command": "x"}, {"a": [1, 2]})] == [None, None]


class TestDependencies:
    def test_on_all_variants_of_another_job(self) -> None:
        assert graph(
            ({"name": "test"}, {"os": ["a", "b"]}), ({"name": "report", "depends_on": ["test"]}, {})
        ) == {"test a": [], "test b": [], "report": ["test a", "test b"]}

    def test_of_variants_on_what_has_none(self) -> None:
        assert graph(
            ({"name": "prepare"}, {}),
            ({"name": "test", "depends_on": ["prepare"]}, {"os": ["a", "b"]}),
        ) == {"prepare": [], "test a": ["prepare"], "test b": ["prepare"]}

    def test_on_the_variants_that_agree_in_what_both_have(self) -> None:
        assert graph(
            ({"name": "build"}, {"os": ["a", "b"], "mode": ["x", "y"]}),
            ({"name": "test", "depends_on": ["build"]}, {"shard": ["1", "2"], "os": ["a", "b"]}),
        ) == {
            "build a x": [],
            "build a y": [],
            "build b x": [],
            "build b y": [],
            "test 1 a": ["build a x", "build a y"],
            "test 1 b": ["build b x", "build b y"],
            "test 2 a": ["build a x", "build a y"],
            "test 2 b": ["build b x", "build b y"],
        }

    def test_on_one_variant_by_its_name(self) -> None:
        found = graph(
            ({"name": "build {os}"}, {"os": ["a", "b"]}),
            ({"name": "one", "depends_on": ["build a"]}, {}),
            ({"name": "all", "depends_on": ["build {os}"]}, {}),
            ({"name": "test", "depends_on": ["build {os}"]}, {"os": ["a", "b"]}),
        )
        assert found["one"] == ["build a"]
        assert found["all"] == ["build a", "build b"]
        assert (found["test a"], found["test b"]) == (["build a"], ["build b"])

    def test_on_what_is_no_job_here_is_for_others_to_judge(self) -> None:
        found = graph(({"name": "t", "depends_on": ["7k2m", "x {os}"]}, {"os": ["a"]}))

        assert found == {"t a": ["7k2m", "x a"]}

    def test_on_a_variant_that_is_not_there(self) -> None:
        with pytest.raises(InvalidGraph, match="'test c' needs 'build', of which no variant"):
            graph(
                ({"name": "build"}, {"os": ["a", "b"]}),
                ({"name": "test", "depends_on": ["build"]}, {"os": ["a", "c"]}),
            )

    def test_two_matrices_of_one_name(self) -> None:
        with pytest.raises(InvalidGraph, match="two jobs are named 't', with different matrices"):
            graph(({"name": "t"}, {"a": ["1"]}), ({"name": "t"}, {"b": ["1"]}))

    def test_there_is_a_bound(self) -> None:
        side = [str(n) for n in range(1100)]
        with pytest.raises(InvalidGraph, match="more than 1000000 dependencies"):
            graph(
                ({"name": "a"}, {"x": side}),
                ({"name": "b", "depends_on": ["a"]}, {"y": side}),
            )

    def test_many_that_agree_are_found_at_once(self) -> None:
        side = [str(n) for n in range(5000)]
        found = graph(
            ({"name": "a"}, {"x": side}), ({"name": "b", "depends_on": ["a"]}, {"x": side})
        )
        assert found["b 4711"] == ["a 4711"]


@pytest.mark.parametrize(
    ("fields", "axes"),
    [
        ({"command": "{a}" * 100_000}, {"a": ["x" * 10_000]}),
        ({"command": "{a}", "env": {"A": "{a}" * 1000}}, {"a": [f"{n:0300}" for n in range(1000)]}),
        ({"command": "x", "payload": "y" * 100_000}, {"a": list(range(10_000))}),
        ({"command": "x", "payload": [0] * 100_000}, {"a": list(range(10_000))}),
    ],
)
def test_what_would_not_fit_is_not_made(fields: dict[str, Any], axes: dict[str, Any]) -> None:
    """A kilobyte of braces and a kilobyte of values make gigabytes."""
    with pytest.raises(Wrong, match="hold more than 128 MiB of text"):
        made(fields, axes)
    with pytest.raises(Wrong, match="hold more than 128 MiB of text"):
        fan_out([({"command": "{a}" * 200}, None)] * 1000, {"a": "x" * 1000})
