"""Graphs: names, cycles, and the longest path behind a job."""

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runyard.domain.graph import CycleFound, bottom_levels, check_names, describe_cycle, nearest
from runyard.errors import InvalidGraph

Graph = dict[int, list[int]]


@st.composite
def acyclic(draw: st.DrawFn) -> Graph:
    """Edges lead from later to earlier nodes of a shuffled row, so none can close a circle."""
    row = draw(st.permutations(range(draw(st.integers(0, 12)))))
    return {
        node: [parent for parent in row[:position] if draw(st.booleans())]
        for position, node in enumerate(row)
    }


@st.composite
def any_graph(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 8))
    node = st.integers(0, size - 1)
    return {each: draw(st.lists(node, max_size=3)) for each in range(size)}


def longest_path(parents: Graph, start: int) -> int:
    dependents: Graph = {node: [] for node in parents}
    for node, needed in parents.items():
        for parent in needed:
            dependents[parent].append(node)

    @cache
    def longest(node: int) -> int:
        return 1 + max(map(longest, dependents[node]), default=0)

    return longest(start)


def has_cycle(parents: Graph) -> bool:
    """By definition: some node reaches itself."""

    def reaches_itself(start: int) -> bool:
        seen: set[int] = set()
        to_visit = list(parents[start])
        while to_visit:
            node = to_visit.pop()
            if node == start:
                return True
            if node not in seen:
                seen.add(node)
                to_visit += parents[node]
        return False

    return any(map(reaches_itself, parents))


@given(acyclic())
def test_the_level_of_a_job_is_the_longest_path_that_starts_with_it(parents: Graph) -> None:
    assert bottom_levels(parents) == {node: longest_path(parents, node) for node in parents}


@given(any_graph())
def test_a_cycle_is_reported_exactly_when_there_is_one(parents: Graph) -> None:
    try:
        bottom_levels(parents)
        found = False
    except CycleFound:
        found = True
    assert found == has_cycle(parents)


@given(any_graph())
def test_the_reported_cycle_is_one(parents: Graph) -> None:
    assume(has_cycle(parents))
    with pytest.raises(CycleFound) as caught:
        bottom_levels(parents)
    nodes = caught.value.nodes
    assert nodes[0] == nodes[-1]
    assert len(nodes) > 1
    assert len(set(nodes[1:])) == len(nodes) - 1, "it visits no node twice"
    for node, needed in pairwise(nodes):
        assert needed in parents[node]


def test_a_graph_without_jobs_has_no_levels() -> None:
    assert bottom_levels({}) == {}


def test_a_job_that_is_only_named_as_a_dependency_has_a_level_too() -> None:
    assert bottom_levels({1: [7]}) == {1: 1.0, 7: 2.0}


def test_a_dependency_named_twice_counts_once() -> None:
    assert bottom_levels({0: [], 1: [0, 0]}) == {0: 2.0, 1: 1.0}


def test_a_chain_of_a_hundred_thousand_jobs_is_no_problem() -> None:
    length = 100_000
    levels = bottom_levels({node: [node - 1] if node else [] for node in range(length)})
    assert (levels[0], levels[length - 1]) == (length, 1)


def test_a_cycle_is_described_by_names() -> None:
    with pytest.raises(CycleFound) as caught:
        bottom_levels({0: [1], 1: [2], 2: [1]})
    described = str(describe_cycle(caught.value, ["deploy", "build", "fetch"]))
    assert described in {
        "the dependencies form a cycle: build needs fetch needs build",
        "the dependencies form a cycle: fetch needs build needs fetch",
    }


def test_a_job_that_needs_itself_is_a_cycle() -> None:
    with pytest.raises(CycleFound) as caught:
        bottom_levels({0: [0]})
    assert str(describe_cycle(caught.value, ["a"])) == "the dependencies form a cycle: a needs a"


def test_two_jobs_of_a_batch_may_not_have_one_name() -> None:
    with pytest.raises(InvalidGraph, match=r"two jobs are named 'build'"):
        check_names(["build", "test", "build"])


def test_jobs_without_a_name_may_be_many() -> None:
    check_names(["", "build", "", "test", ""])


def test_what_is_nearest_is_found_both_ways() -> None:
    chain = {child: [child - 1] for child in range(1, 10)}
    order = [5, *(one for one in range(10) if one != 5)]
    assert nearest(order, 1, chain, 3) == {4, 5, 6}
    assert nearest(order, 1, chain, 5) == {3, 4, 5, 6, 7}
    assert nearest(order, 1, chain, 99) == set(range(10))


def test_of_several_beginnings_each_has_what_is_near() -> None:
    chain = {child: [child - 1] for child in range(1, 10)}
    order = [1, 8, *(one for one in range(10) if one not in (1, 8))]
    assert nearest(order, 2, chain, 6) == {0, 1, 2, 7, 8, 9}
    assert nearest(order, 2, chain, 1) == {1}


def test_what_depends_on_nothing_fills_up_what_is_left() -> None:
    assert nearest([3, 0, 1, 2], 1, {}, 3) == {3, 0, 1}
    assert nearest([], 0, {}, 3) == set()
