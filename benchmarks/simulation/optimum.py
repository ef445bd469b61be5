"""The shortest schedule there is, found by OR-Tools CP-SAT.

Only who runs what has to be decided: on a device the tests of a build go one after another, so it
is installed there once, and the last device to be ready decides.
"""

from __future__ import annotations

from ortools.sat.python import cp_model

from benchmarks.simulation.instances import Instance

TICKS = 10  # of a second: CP-SAT counts in whole numbers
GAP = 0.001  # an optimum known so well is known


def shortest(instance: Instance, limit: float) -> tuple[float, bool]:
    """A makespan that no schedule can beat, and whether it was proved that one reaches it.

    Should ``limit`` seconds not do, it is the best bound so far: less than the optimum, never more.
    """
    model, end = _model(instance)
    model.minimize(end)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = limit
    solver.parameters.num_workers = 2
    solver.parameters.random_seed = instance.seed
    solver.parameters.relative_gap_limit = GAP
    status = solver.solve(model)
    return solver.best_objective_bound / TICKS, status == cp_model.OPTIMAL


def _model(instance: Instance) -> tuple[cp_model.CpModel, cp_model.IntVar]:
    model = cp_model.CpModel()
    devices, install = range(instance.devices), round(instance.install * TICKS)
    builds = _largest_first(instance)
    ticks = {task.id: int(task.seconds * TICKS) for task in instance.tasks}
    end = model.new_int_var(int(instance.bound * TICKS) - 1, 2 * sum(ticks.values()), "end")
    has = {(b, d): model.new_bool_var("") for b in builds for d in devices}
    runs = {(t.id, d): model.new_bool_var("") for t in instance.tasks for d in devices}
    for task in instance.tasks:
        model.add_exactly_one(runs[task.id, device] for device in devices)
        for device in devices:
            model.add_implication(runs[task.id, device], has[task.build, device])
    for device in devices:
        load = sum(ticks[task.id] * runs[task.id, device] for task in instance.tasks)
        model.add(load + sum(install * has[build, device] for build in builds) <= end)
    # Follows from the loads, but shows at once what one more install costs.
    model.add(end * instance.devices >= sum(ticks.values()) + install * sum(has.values()))
    _number(model, has, builds, devices)
    return model, end


def _largest_first(instance: Instance) -> list[int]:
    work: dict[int, float] = {}
    for task in instance.tasks:
        work[task.build] = work.get(task.build, 0.0) + task.seconds
    return sorted(work, key=lambda build: -work[build])


def _number(
    model: cp_model.CpModel,
    has: dict[tuple[int, int], cp_model.IntVar],
    builds: list[int],
    devices: range,
) -> None:
    """Devices are alike: number them by the first of the builds that each has. Without this the
    solver looks at every schedule once for each order of the devices."""
    for device in devices[1:]:
        for count, build in enumerate(builds, start=1):
            before = [has[other, device - 1] for other in builds[:count]]
            model.add_bool_or([*before, has[build, device].negated()])
