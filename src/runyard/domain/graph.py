"""The dependency graph of a batch: validation, and how much work waits behind each job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runyard.errors import InvalidGraph


def check_names(names: Sequence[str]) -> None:
    """Refuse a batch in which two jobs have the same name. Empty names are no names."""
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            raise InvalidGraph(f"two jobs are named {name!r}: names in a batch must be unique")
        seen.add(name)


def bottom_levels(
    parents: Mapping[int, Sequence[int]], seconds: Callable[[int], float] = lambda _: 1.0
) -> dict[int, float]:
    """For each job of a graph, the longest path that starts with it, in ``seconds`` of each job,
    or counted in jobs.

    ``parents`` maps a job's index to the indices it depends on. Starting jobs with the greatest
    bottom level first is critical-path list scheduling (R. L. Graham, 1969; the level is Hu's,
    1961). Kahn's algorithm (1962) from the leaves up; a job never reached lies on or behind a
    cycle, and the cycle is reported.
    """
    nodes = set(parents).union(*parents.values()) if parents else set()
    unfinished = dict.fromkeys(nodes, 0)  # dependents not yet levelled
    for dependencies in parents.values():
        for parent in dependencies:
            unfinished[parent] += 1
    level = {node: seconds(node) for node in nodes}
    ready = [node for node, count in unfinished.items() if count == 0]
    done = 0
    while ready:
        node = ready.pop()
        done += 1
        for parent in parents.get(node, ()):
            level[parent] = max(level[parent], level[node] + seconds(parent))
            unfinished[parent] -= 1
            if unfinished[parent] == 0:
                ready.append(parent)
    if done < len(nodes):
        raise CycleFound(_find_cycle(parents, {n for n, count in unfinished.items() if count}))
    return level


def nearest(
    order: Sequence[int], together: int, parents: Mapping[int, Sequence[int]], most: int
) -> set[int]:
    """At most so many jobs of a graph: those of the first ``together`` in ``order``, and the jobs
    with the fewest dependencies between them and one of these, whichever way; when there are no
    more of those, the same of the next in order."""
    beside: dict[int, list[int]] = {}
    for child, needed in parents.items():
        for parent in needed:
            beside.setdefault(child, []).append(parent)
            beside.setdefault(parent, []).append(child)
    found: dict[int, None] = {}
    starts = [order[:together], *([one] for one in order[together:])]
    for start in starts:
        ring = [node for node in start if node not in found]
        while ring and len(found) < most:
            found.update(dict.fromkeys(ring[: most - len(found)]))
            around = dict.fromkeys(near for node in ring for near in beside.get(node, ()))
            ring = [node for node in around if node not in found]
        if len(found) == most:
            break
    return set(found)


class CycleFound(InvalidGraph):
    """The graph has a cycle; ``nodes`` lists it, each depending on the next, first = last."""

    def __init__(self, nodes: list[int]) -> None:
        super().__init__("the dependencies form a cycle")
        self.nodes = nodes


def describe_cycle(cycle: CycleFound, names: Sequence[str]) -> InvalidGraph:
    """The same error with names: ``a needs b needs a``."""
    chain = " needs ".join(names[node] for node in cycle.nodes)
    return InvalidGraph(f"the dependencies form a cycle: {chain}")


def _find_cycle(parents: Mapping[int, Sequence[int]], suspects: set[int]) -> list[int]:
    """Walk from any unfinished job along unfinished dependents' parents until one repeats.

    Every suspect is the parent of a suspect, so walk the other way: each suspect has a dependent
    among the suspects, and a finite walk must close.
    """
    dependents: dict[int, int] = {}
    for node in suspects:
        for parent in parents.get(node, ()):
            if parent in suspects:
                dependents[parent] = node
    position: dict[int, int] = {}
    walk: list[int] = []
    node = min(suspects)
    while node not in position:
        position[node] = len(walk)
        walk.append(node)
        node = dependents[node]
    cycle = [*walk[position[node] :], node]
    return cycle[::-1]
