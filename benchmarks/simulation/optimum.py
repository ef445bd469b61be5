"""The shortest schedule there is, found by OR-Tools CP-SAT.

Only who runs what has to be decided: on a device the tests of a build go one after another, so it
is installed there once, and the last device to be ready decides.
"""

from __future__ import annotations

import math
from itertools import count

from ortools.sat.python import cp_model

from benchmarks.simulation.instances import Instance

TICKS = 10  # of a second: CP-SAT counts in whole numbers
GAP = 0.001  # an optimum known so well is known


def shortest(instance: Instance, within: float, limit: float) -> tuple[float, bool]:
    """A makespan that no schedule can beat, and whether it was proved that one reaches it.

    ``within`` is the makespan of any schedule. Schedules are looked for with the least number of
    installs, then with one more, as long as these leave room for a shorter one: with their number
    fixed, the solver is through in seconds. Should ``limit`` seconds for one of them not do, the
    answer is the best bound so far: less than the optimum, never more.
    """
    work = sum(int(task.seconds * TICKS) for task in instance.tasks)
    best = bound = math.ceil(within * TICKS)
    for installs in count(instance.builds):
        least = (work + installs * round(instance.install * TICKS)) / instance.devices
        if least >= best * (1 - GAP):
            return bound / TICKS, bound >= math.floor(best * (1 - GAP)) - 1
        reached, sure = _solve(instance, best, installs, limit)
        best, bound = min(best, reached), min(bound, sure)
    raise AssertionError("unreachable")


def _solve(instance: Instance, within: int, installs: int, limit: float) -> tuple[int, int]:
    """The least ticks found with so many installs, and those that no schedule with as many can
    beat; ``within`` for both if there is nothing better."""
    wanted = math.floor(within * (1 - GAP))
    if wanted < math.floor(instance.bound * TICKS) - 1:  # nothing can be that short
        return within, wanted
    model, end = _model(instance, wanted, installs)
    model.minimize(end)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit
    solver.parameters.num_workers = 2
    solver.parameters.random_seed = instance.seed
    solver.parameters.relative_gap_limit = GAP
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return within, wanted
    sure = math.floor(solver.best_objective_bound)
    return (round(solver.objective_value), sure) if status != cp_model.UNKNOWN else (within, sure)


def _model(
    instance: Instance, within: int, installs: int
) -> tuple[cp_model.CpModel, cp_model.IntVar]:
    model = cp_model.CpModel()
    devices, install = range(instance.devices), round(instance.install * TICKS)
    ticks = {task.id: int(task.seconds * TICKS) for task in instance.tasks}
    work: dict[int, int] = {}
    for task in instance.tasks:
        work[task.build] = work.get(task.build, 0) + ticks[task.id]
    builds = sorted(work, key=lambda build: -work[build])
    end = model.new_int_var(math.floor(instance.bound * TICKS) - 1, within, "end")
    has = {(b, d): model.new_bool_var("") for b in builds for d in devices}
    runs = {(t.id, d): model.new_bool_var("") for t in instance.tasks for d in devices}
    for task in instance.tasks:
        model.add_exactly_one(runs[task.id, device] for device in devices)
        for device in devices:
            model.add_implication(runs[task.id, device], has[task.build, device])
    for build in builds:
        # What does not fit on one device in that time, is on several.
        least = math.ceil(work[build] / max(1, within - install))
        model.add(sum(has[build, device] for device in devices) >= max(1, least))
    for device in devices:
        load = sum(ticks[task.id] * runs[task.id, device] for task in instance.tasks)
        model.add(load + sum(install * has[build, device] for build in builds) <= end)
    model.add(sum(has.values()) == installs)
    # Follows from the loads, but shows at once what one more install costs.
    model.add(end * instance.devices >= sum(ticks.values()) + install * installs)
    _number(model, has, builds, devices)
    return model, end


def _number(
    model: cp_model.CpModel,
    has: dict[tuple[int, int], cp_model.IntVar],
    builds: list[int],
    devices: range,
) -> None:
    """Devices are alike: number them by the first of the builds that each has. Without this the
    solver looks at every schedule once for each order of the devices."""
    for device in devices[1:]:
        for position, build in enumerate(builds):
            before = [has[other, device - 1] for other in builds[: position + 1]]
            model.add_bool_or([*before, has[build, device].negated()])
