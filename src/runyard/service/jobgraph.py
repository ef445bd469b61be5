"""The graph of a job file: unique names, known dependencies, no cycle, or one sentence why not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from runyard.domain import graph
from runyard.domain.ids import ALPHABET, LENGTH
from runyard.domain.job import JobSpec
from runyard.errors import InvalidGraph
from runyard.service.phrases import did_you_mean, quoted, short

_JOB_ID = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")


def check(specs: Sequence[JobSpec], places: Sequence[str]) -> None:
    """Refuse what is no directed acyclic graph of unique names."""
    index: dict[str, int] = {}
    for n, spec in enumerate(specs):
        if (first := index.setdefault(spec.name, n)) != n:
            both = f"{places[first]} and {places[n]}"
            raise InvalidGraph(f"{both} are both named {quoted(spec.name)}")
    needs = {n: _parents(spec, index) for n, spec in enumerate(specs)}
    try:
        graph.bottom_levels(needs)
    except graph.CycleFound as cycle:
        raise InvalidGraph(f"the dependencies form a cycle: {_chain(cycle, specs)}") from None


def _parents(spec: JobSpec, index: Mapping[str, int]) -> list[int]:
    """The tasks that one needs. What no task is named, but looks like a job's id, is one: the
    store knows whether it exists."""
    found = []
    for name in spec.depends_on:
        if name == spec.name:
            raise InvalidGraph(f"{quoted(name)} needs itself")
        if name in index:
            found.append(index[name])
        elif not _JOB_ID.fullmatch(name):
            hint = did_you_mean(name, [other for other in index if other != spec.name])
            text = f"{quoted(spec.name)} needs {quoted(name)}, which is no task of this file"
            raise InvalidGraph(text + hint)
    return found


_CHAIN_LIMIT = 10


def _chain(cycle: graph.CycleFound, specs: Sequence[JobSpec]) -> str:
    names = [short(specs[node].name) for node in cycle.nodes]
    if len(names) > _CHAIN_LIMIT:
        names[_CHAIN_LIMIT - 2 : -1] = ["…"]
    return " needs ".join(names)
