"""How well are devices used, and how fairly, when tests share the install of a build?

Simulations over the real policy in virtual time, seeded: a figure changes only when policy does.
Durations are known to the policy exactly, or within ±50 %, as a noisy history would tell them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from statistics import mean, median

from benchmarks.simulation import cost, measures, rivals
from benchmarks.simulation.engine import Rule, Run, simulate
from benchmarks.simulation.instances import NOISE, PRIORITIES, small, suites
from benchmarks.simulation.rule import Runyard
from benchmarks.simulation.streams import backlog, latecomers, stream
from benchmarks.support import DATABASES, TIMES, Bench, Figure, alternate, ratio, say

less = partial(Figure, less_is_better=True)
ABOVE, WORST_ABOVE = 3.0, 6.0  # percent above the lower bound of a night
EXCESS = 1.3  # times the least installs
NEAR, NEAR_ESTIMATED = 3.0, 4.0  # percent above the optimum
TOP_WAIT, FAIR = 1.1, 0.95
CHOICE_MS, FLAT = 2.0, 1.5
GROUPS, FEW_GROUPS, SMALL, LARGE = 1000, 20, 100, 1_000_000
SOLVER_SECONDS = 12.0  # for one number of installs; few need more than one
PICTURED = 7  # the night in the picture
TOP = max(PRIORITIES)
RULES: tuple[tuple[str, Callable[[], Rule], float], ...] = (
    ("Runyard, times known", Runyard, 0.0),
    ("Runyard, times estimated", Runyard, NOISE),
    ("FIFO", rivals.fifo, 0.0),
    ("strict priority", rivals.strict_priority, 0.0),
    ("sticky", rivals.Sticky, 0.0),
    ("longest first", rivals.longest_first, 0.0),
)


def run(bench: Bench) -> Iterator[Figure]:
    """The figures of all parts."""
    yield from _suites(bench)
    yield from _day(bench)
    yield from _optimum(bench)
    yield from _cost(bench)
    _draw(bench)


def _suites(bench: Bench) -> Iterator[Figure]:
    """A night's work, all there from the start."""
    seeds = range(bench.size(60, 12))
    say(f"{len(seeds)} nights: 8 devices, 30 builds, 60 s an install; {TIMES} the lower bound")
    say(f"{'':26}{'makespan':>10}{'worst':>8}{'installs':>10}{'worst':>8}")
    results = {
        name: [simulate(suites(seed, noise), rule()) for seed in seeds]
        for name, rule, noise in RULES
    }
    for name, runs in results.items():
        stretch, excess = [r.stretch for r in runs], [r.excess for r in runs]
        say(
            f"{name:26}{mean(stretch):10.3f}{max(stretch):8.3f}{mean(excess):10.2f}{max(excess):8.2f}"
        )
    yield from _night_figures(results)


def _night_figures(results: dict[str, list[Run]]) -> Iterator[Figure]:
    above = {name: [100 * (r.stretch - 1) for r in runs] for name, runs in results.items()}
    excess = {name: mean(r.excess for r in runs) for name, runs in results.items()}
    rivals_above = f"FIFO {mean(above['FIFO']):.0f}, sticky {mean(above['sticky']):.0f}"
    for name in (name for name in results if name.startswith("Runyard")):
        times = name.split()[-1]
        yield less(f"above the bound, {times}", mean(above[name]), "%", ABOVE, beside=rivals_above)
        yield less(f"above the bound, {times}, worst", max(above[name]), "%", WORST_ABOVE)
        beside = f"FIFO {excess['FIFO']:.1f}"
        yield less(f"installs, {times}", excess[name], f"{TIMES} least", EXCESS, beside=beside)


def _day(bench: Bench) -> Iterator[Figure]:
    """Suites that arrive over time, and five orgs that share."""
    seeds = range(bench.size(8, 3))
    runs = [simulate(stream(seed), Runyard()) for seed in seeds]
    pure = [simulate(stream(seed), rivals.pure_priority()) for seed in seeds]
    plain = [simulate(stream(seed), rivals.strict_priority()) for seed in seeds]
    _say_waits({"Runyard": runs, "priority, FIFO": plain, "priority, longest first": pure})
    wait, other = measures.mean_wait(runs, TOP), measures.mean_wait(plain, TOP)
    beside = f"{wait:.0f} s; {other:.0f}, or {measures.mean_wait(pure, TOP):.0f} with long first"
    yield less(
        "wait of the top class", wait / other, f"{TIMES} pure queue", TOP_WAIT, beside=beside
    )
    passed = sum(measures.passed_over(run) for run in runs)
    tests = sum(len(run.spans) for run in runs)
    beside = f"of {tests:,}; pure priority {sum(map(measures.passed_over, plain)):,}"
    yield less("passed by a lower class", float(passed), "tests", 0.0, beside=beside)
    unexplained = max(map(measures.longest_unexplained, runs))
    beside = f"longest wait {measures.longest_wait(runs):,.0f} s; pure priority"
    beside += f" {measures.longest_wait(plain):,.0f}"
    yield less("wait beyond class", unexplained, "tests", 1.0, beside=beside)
    for name, work in (("fairness between orgs", backlog), ("fairness to late orgs", latecomers)):
        shares = [measures.fairness(simulate(work(seed), Runyard())) for seed in seeds]
        fifo = [measures.fairness(simulate(work(seed), rivals.fifo())) for seed in seeds]
        beside = f"worst of {len(shares)}; FIFO {min(fifo):.2f}"
        yield Figure(name, min(shares), "Jain", FAIR, beside=beside)


def _say_waits(results: dict[str, Sequence[Run]]) -> None:
    say(f"{len(results['Runyard'])} days: mean wait in s by priority, and installs")
    say(f"{'':26}" + "".join(f"{p:>8}" for p in sorted(PRIORITIES, reverse=True)) + "  installs")
    for name, runs in results.items():
        waits = [measures.mean_wait(runs, p) for p in sorted(PRIORITIES, reverse=True)]
        installs = mean(run.excess for run in runs)
        say(f"{name:26}" + "".join(f"{wait:8,.0f}" for wait in waits) + f"{installs:10.2f}")


def _optimum(bench: Bench) -> Iterator[Figure]:
    """Small instances, beside the best there is."""
    try:
        from benchmarks.simulation.optimum import shortest
    except ImportError:
        say("without the optimum: that needs OR-Tools, as in pip install -e '.[bench]'")
        return
    seeds = range(bench.size(120, 15))
    reached = [simulate(small(seed), Runyard()).makespan for seed in seeds]
    found = [
        shortest(small(seed), within, SOLVER_SECONDS)
        for seed, within in zip(seeds, reached, strict=True)
    ]
    proved = sum(is_proved for _, is_proved in found)
    beside = f"{len(found)} instances, {proved} optima proved, else their best bound"
    for name, noise, floor in (("known", 0.0, NEAR), ("estimated", NOISE, NEAR_ESTIMATED)):
        runs = [simulate(small(seed, noise), Runyard()) for seed in seeds]
        above = [100 * (r.makespan / best - 1) for r, (best, _) in zip(runs, found, strict=True)]
        say(f"above the optimum, {name}: {mean(above):.2f} %, worst {max(above):.1f} %; {beside}")
        yield less(f"above the optimum, {name}", mean(above), "%", floor, beside=beside)


def _cost(bench: Bench) -> Iterator[Figure]:
    """What a decision takes."""
    taken = cost.of_choice(GROUPS, bench.size(200, 50))
    yield less(f"choice among {GROUPS:,} groups", taken, "ms", CHOICE_MS, beside="policy alone")
    large = bench.size(LARGE, LARGE // 20)
    for kind in DATABASES:
        with ExitStack() as stack:
            few = stack.enter_context(cost.filled(bench, kind, SMALL, FEW_GROUPS))
            many = stack.enter_context(cost.filled(bench, kind, large, FEW_GROUPS))
            wide = stack.enter_context(cost.filled(bench, kind, GROUPS * 10, GROUPS))
            alternate(1, many.cost, few.cost)  # connects and compiles
            costs, peers = alternate(bench.size(7, 5), many.cost, few.cost)
            wide.switch()  # reads everything
            spread = [wide.switch() for _ in range(bench.size(60, 20))]
        beside = f"{median(costs):.2f} ms with {large:,} queued; {median(peers):.2f} with few"
        name = f"grouped claim {kind}"
        yield less(name, ratio(costs, peers), f"{TIMES} few", FLAT, beside=beside)
        alone, whole = (median(taken) for taken in zip(*spread, strict=True))
        beside = f"{whole:.1f} ms with the finish before it and their commit"
        floor = CHOICE_MS if kind == DATABASES[0] else None
        yield less(f"{name}, {GROUPS:,} groups", alone, "ms", floor, beside=beside)


def _draw(bench: Bench) -> None:
    """Timelines of one night."""
    try:
        from benchmarks.simulation.picture import draw
    except ImportError:
        say("without a picture: that needs matplotlib, as in pip install -e '.[bench]'")
        return
    night = suites(PICTURED, NOISE)
    runs = [("Runyard", simulate(night, Runyard())), ("FIFO", simulate(night, rivals.fifo()))]
    draw(bench.picture, runs)
    say(f"picture: {bench.picture}")
