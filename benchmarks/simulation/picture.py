"""Timelines: a row for each device, a colour for each build, installs hatched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no window: there may be no screen

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from benchmarks.simulation.engine import Run

NAMED = 9  # builds that get a colour of their own in the legend: the largest
GREY = 7  # of matplotlib's ten colours, too much like this one:
SMALL = "#c9ced6"  # the colour of all the others
INSTALL = "#22262e"
HEIGHT = 0.72  # of a device's bar


def draw(path: Path, runs: Sequence[tuple[str, Run]]) -> None:
    """Write the timelines of some rules, one below the other on the same scale."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = _colours(runs[0][1])
    figure, panels = pyplot.subplots(
        len(runs), 1, sharex=True, figsize=(13, 3.1 * len(runs) + 0.9), layout="constrained"
    )
    for axes, (name, run) in zip(panels, runs, strict=True):
        _timeline(axes, name, run, colours)
    panels[-1].set_xlabel("minutes")
    panels[-1].set_xlim(0, max(run.makespan for _, run in runs) / 60 * 1.01)
    figure.legend(
        handles=_legend(colours),
        loc="outside lower center",
        ncols=7,
        frameon=False,
        fontsize=9,
    )
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _timeline(axes: Axes, name: str, run: Run, colours: dict[int, str]) -> None:
    for span in run.spans:
        at, colour = span.device + 1, colours.get(span.task.build, SMALL)
        begin, starts, ends = span.claimed / 60, span.starts / 60, span.ends / 60
        axes.barh(at, ends - starts, HEIGHT, starts, color=colour, edgecolor="white", linewidth=0.3)
        if span.installs:
            axes.barh(
                at,
                starts - begin,
                HEIGHT,
                begin,
                color="white",
                edgecolor=INSTALL,
                hatch="//////",
                linewidth=0.3,
            )
    bound = run.instance.bound / 60
    axes.axvline(bound, color=INSTALL, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_title(_caption(name, run), loc="left", fontsize=11)
    axes.set_yticks(range(1, run.instance.devices + 1))
    axes.set_ylabel("device")
    axes.invert_yaxis()
    axes.tick_params(length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _caption(name: str, run: Run) -> str:
    return (
        f"{name}: done after {run.makespan / 60:.0f} min, {run.stretch:.2f} \N{MULTIPLICATION SIGN}"
        f" the lower bound (dashed), with {run.installs} installs of {run.instance.builds} builds"
    )


def _colours(run: Run) -> dict[int, str]:
    work: Counter[int] = Counter()
    for task in run.instance.tasks:
        work[task.build] += round(task.seconds)
    palette = [f"C{n}" for n in range(NAMED + 1) if n != GREY]
    return {build: palette[n] for n, (build, _) in enumerate(work.most_common(NAMED))}


def _legend(colours: dict[int, str]) -> list[Patch]:
    named = [Patch(color=colour, label=f"build {build}") for build, colour in colours.items()]
    return [
        *named,
        Patch(color=SMALL, label="smaller builds"),
        Patch(facecolor="white", edgecolor=INSTALL, hatch="//////", label="install"),
    ]
