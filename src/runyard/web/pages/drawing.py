"""Where things are in pictures: pure arithmetic, which templates turn into SVG."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runyard.store.spans import Node, Span
from runyard.web.pages.words import duration

WIDTH = 1000.0  # of a timeline, stretched to the width of the page
NARROWEST = 1.5  # of a stretch that shall be seen
COLOURS = 8  # of builds; then they begin anew
TICKS = 5

COLUMN, ROW = 240.0, 42.0  # of a graph, in pixels
BOX_WIDTH, BOX_HEIGHT = 200.0, 28.0
MARGIN = 8.0
LONGEST_NAME = 28


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a row; ``colour`` is that of its build, 0 for jobs without one."""

    x: float
    width: float
    setup: float  # the part of the width that was an install
    colour: int
    state: str
    job_id: str
    title: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """One row for each slot. ``builds`` are names with their colours, ``ticks`` instants at even
    distances; ``has_lanes`` if some jobs need no build."""

    begin: float
    end: float
    rows: Sequence[tuple[str, Sequence[Bar]]]
    builds: Sequence[tuple[str, int]]
    ticks: Sequence[float]
    amount: int
    has_lanes: bool


def timeline(
    spans: Sequence[Span],
    begin: float | None = None,
    now: float | None = None,
    *,
    slots: Sequence[tuple[str, str]] = (),
) -> Timeline:
    """Attempts by slot, from the first's beginning or ``begin`` on, until the last one's end or
    ``now``; with a row for each (worker, slot) of ``slots`` in their order, if there are any, even
    if it did nothing."""
    here = time.time()
    ends = [here if span.end is None else span.end for span in spans]
    start = min((span.begin for span in spans), default=here) if begin is None else begin
    end = max(ends, default=here) if now is None else now
    length = max(end - start, 0.001)
    builds: dict[str, int] = {}
    rows: dict[tuple[str, str], list[Bar]] = {key: [] for key in slots}
    for span, until in zip(spans, ends, strict=True):
        if span.build:
            builds.setdefault(span.build, len(builds) % COLOURS + 1)
        first = max(span.begin, start)
        x = (first - start) / length * WIDTH
        width = max((until - first) / length * WIDTH, NARROWEST)
        bar = Bar(
            x=round(min(x, WIDTH - NARROWEST), 2),
            width=round(width, 2),
            setup=round(min(width, (span.setup or 0.0) / length * WIDTH), 2),
            colour=builds.get(span.build, 0),
            state=span.state.value,
            job_id=span.job_id,
            title=_title(span, until),
        )
        rows.setdefault((span.worker, span.slot), []).append(bar)
    return Timeline(
        start,
        end,
        [(_label(key, rows), bars) for key, bars in _ordered(rows, slots)],
        list(builds.items()),
        [start + length * step / (TICKS - 1) for step in range(TICKS)],
        len(spans),
        any(not span.build for span in spans),
    )


def _ordered(
    rows: dict[tuple[str, str], list[Bar]], slots: Sequence[object]
) -> Iterable[tuple[tuple[str, str], list[Bar]]]:
    return rows.items() if slots else sorted(rows.items(), key=_by_slot)


def _by_slot(row: tuple[tuple[str, str], object]) -> tuple[object, ...]:
    """Slots in the order that people count: 2 before 10."""
    (worker, slot), _ = row
    return worker, not slot.isdigit(), int(slot) if slot.isdigit() else 0, slot


def _label(key: tuple[str, str], rows: dict[tuple[str, str], list[Bar]]) -> str:
    """A slot's name; with its worker's where several have slots of that name."""
    worker, slot = key
    is_alone = sum(name == slot for _, name in rows) == 1
    named = f"slot {slot}" if slot.isdigit() else slot
    return named if is_alone else f"{named} · {worker}"


def _title(span: Span, until: float) -> str:
    name = span.job_name or span.job_id
    build = f", build {span.build}" if span.build else ""
    setup = f", of it {duration(span.setup)} install" if span.setup else ""
    return f"{name}: {span.state}, {duration(until - span.begin)}{setup}{build}"


# Graphs.


@dataclass(frozen=True, slots=True)
class Box:
    """A job; x and y of its left upper corner."""

    x: float
    y: float
    name: str
    title: str
    state: str
    job_id: str


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes, and the curves from what is needed to what needs it, as SVG paths."""

    width: float
    height: float
    boxes: Sequence[Box]
    curves: Sequence[str]


def graph(nodes: Sequence[Node]) -> Graph:
    """Layers from left to right: each job right of all that it needs."""
    layers = _layers(nodes)
    places: dict[int, tuple[float, float]] = {}
    tallest = max((len(layer) for layer in layers), default=0)
    for column, layer in enumerate(layers):
        above = (tallest - len(layer)) * ROW / 2
        for row, node in enumerate(layer):
            places[node.seq] = (MARGIN + column * COLUMN, MARGIN + above + row * ROW)
    return Graph(
        width=2 * MARGIN + max(0, len(layers) - 1) * COLUMN + BOX_WIDTH,
        height=2 * MARGIN + max(0, tallest - 1) * ROW + BOX_HEIGHT,
        boxes=[_box(node, places[node.seq]) for node in nodes],
        curves=[
            _curve(places[parent], places[node.seq]) for node in nodes for parent in node.needs
        ],
    )


def _layers(nodes: Sequence[Node]) -> list[list[Node]]:
    """By the longest way from a job that needs nothing; within a layer near to what is needed,
    which keeps most curves from crossing."""
    depth: dict[int, int] = {}
    by_seq = {node.seq: node for node in nodes}
    for node in _in_order(by_seq):
        depth[node.seq] = max((depth[parent] + 1 for parent in node.needs), default=0)
    # What needs nothing stands beside what needs it: no curve then runs behind boxes.
    nearest: dict[int, int] = {}
    for node in nodes:
        for parent in node.needs:
            nearest[parent] = min(nearest.get(parent, len(nodes)), depth[node.seq] - 1)
    for node in nodes:
        if not node.needs:
            depth[node.seq] = nearest.get(node.seq, 0)
    layers: list[list[Node]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        layers[depth[node.seq]].append(node)
    row: dict[int, float] = {}
    for layer in layers:
        middle = {
            node.seq: sum(row[parent] for parent in node.needs) / len(node.needs)
            if node.needs
            else math.inf
            for node in layer
        }
        layer.sort(key=lambda node: middle[node.seq])
        for place, node in enumerate(layer):
            row[node.seq] = place - len(layer) / 2
    return layers


def _in_order(nodes: dict[int, Node]) -> list[Node]:
    """Each after all that it needs. A submission may name jobs before what they need."""
    left = {seq: len(node.needs) for seq, node in nodes.items()}
    dependents: dict[int, list[int]] = {}
    for node in nodes.values():
        for parent in node.needs:
            dependents.setdefault(parent, []).append(node.seq)
    ready = [seq for seq, count in left.items() if not count]
    for seq in ready:
        for child in dependents.get(seq, ()):
            left[child] -= 1
            if not left[child]:
                ready.append(child)
    return [nodes[seq] for seq in ready]


def _box(node: Node, place: tuple[float, float]) -> Box:
    name = node.name or node.job_id
    # Names of one graph often differ in their ends.
    short = name if len(name) <= LONGEST_NAME else f"{name[:15]}…{name[16 - LONGEST_NAME :]}"
    return Box(*place, short, f"{name}: {node.state}", node.state.value, node.job_id)


def _curve(begin: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1 = begin[0] + BOX_WIDTH, begin[1] + BOX_HEIGHT / 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT / 2
    bend = (x2 - x1) / 2
    return f"M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}"
