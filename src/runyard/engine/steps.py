"""The steps of an attempt: tear the old build down, set the new one up, run the job."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from runyard.domain.job import JobSpec, Kind
from runyard.domain.target import Command, Target
from runyard.engine.places import Place, variables
from runyard.execution.bounds import Bounds
from runyard.store.claim import Claim

SETUP_SECONDS = 900.0  # an install that takes longer hangs
CHECK_SECONDS = 60.0
HINT = "install it, or try the simulation: runyard worker --simulate"


@dataclass(frozen=True, slots=True)
class Step:
    """One command of an attempt. ``name`` is "" for the job's own, else it names its log."""

    name: str
    kind: str
    command: str | list[str]
    env: Mapping[str, str]
    cwd: str | None = None
    timeout: float | None = None
    silent_timeout: float | None = None


class NoWay(Exception):
    """A job cannot run here; the text says why."""


def steps(claim: Claim, place: Place, old_build: str, bounds: Bounds) -> list[Step]:
    """What an attempt does, in order."""
    spec = _bounded(JobSpec.model_validate_json(claim.spec), bounds)
    test = spec.command if spec.kind is Kind.TEST and isinstance(spec.command, str) else ""
    if place.target is None:
        if spec.kind is Kind.TEST:
            raise NoWay(_no_test_command(claim.target))
        seen = variables(place, claim, "") if claim.build else {}
        return [_own(spec, spec.kind.value, spec.command, seen)]
    target = place.target
    env = {**target.env, **variables(place, claim, test)}
    return [
        *(_prepare(target, place, claim, old_build, env) if claim.installs else ()),
        _run(target, place, claim, spec, env),
    ]


def _bounded(spec: JobSpec, bounds: Bounds) -> JobSpec:
    """The spec with what this worker adds to what it leaves open, and takes from what it asks."""
    cwd, timeout = bounds.workdirs.of(spec.cwd), bounds.timeout(spec.timeout)
    if (cwd, timeout) == (spec.cwd, spec.timeout):
        return spec
    return spec.model_copy(update={"cwd": cwd, "timeout": timeout})


def _prepare(
    target: Target, place: Place, claim: Claim, old_build: str, env: Mapping[str, str]
) -> list[Step]:
    found = []
    if old_build and target.teardown and not place.is_simulated:
        old = {**env, "RUNYARD_APP_VERSION": old_build}
        found.append(_step("teardown", target, target.teardown, place, old_build, old))
    if place.is_simulated:
        found.append(_simulated("setup", target, place, claim, env))
    elif target.setup:
        found.append(_step("setup", target, target.setup, place, claim.build, env))
    return found


def _run(target: Target, place: Place, claim: Claim, spec: JobSpec, env: Mapping[str, str]) -> Step:
    if spec.kind is not Kind.TEST:
        return _own(spec, spec.kind.value, spec.command, env)
    if place.is_simulated:
        simulated = _simulated("test", target, place, claim, env)
        return _own(spec, simulated.kind, simulated.command, env)
    if target.test_command is None:
        raise NoWay(_no_test_command(target.name))
    values = {"device": place.name, "app": claim.build, "test": str(spec.command)}
    command = target.command(target.test_command, values)
    return _own(spec, _kind(command), command, env)


def _own(spec: JobSpec, kind: str, command: str | list[str], env: Mapping[str, str]) -> Step:
    return Step("", kind, command, {**env, **spec.env}, spec.cwd, spec.timeout, spec.silent_timeout)


def check(place: Place) -> Step | None:
    """The command that looks at a place's health, if there is one."""
    target = place.target
    if target is None or target.check is None or place.is_simulated:
        return None
    env = {**target.env, "RUNYARD_DEVICE": place.name, "RUNYARD_TARGET": target.name}
    found = _step("check", target, target.check, place, "", env)
    return Step(found.name, found.kind, found.command, env, timeout=CHECK_SECONDS)


def missing(target: Target) -> str | None:
    """What a target needs and this host does not have, as a sentence."""
    for program in target.requires:
        if shutil.which(program) is None:
            return f"target {target.name} needs {program}, which is not installed here: {HINT}"
    return None


def _step(
    name: str, target: Target, template: Command, place: Place, build: str, env: Mapping[str, str]
) -> Step:
    command = target.command(template, {"device": place.name, "app": build, "test": ""})
    return Step(name, _kind(command), command, env, timeout=SETUP_SECONDS)


def _kind(command: str | list[str]) -> str:
    return Kind.SHELL.value if isinstance(command, str) else Kind.COMMAND.value


def _simulated(
    step: str, target: Target, place: Place, claim: Claim, env: Mapping[str, str]
) -> Step:
    how = target.simulation
    is_setup = step == "setup"
    options = {
        "device": place.name,
        "app": claim.build,
        "test": env["RUNYARD_TEST"],
        "attempt": claim.number,
        "seconds": how.install_seconds if is_setup else how.test_seconds,
        "spread": how.spread,
        "failure-rate": how.install_failure_rate if is_setup else how.failure_rate,
        "infra-failure-rate": 0.0 if is_setup else how.infra_failure_rate,
        "seed": how.seed,
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-P", "-m", "runyard.execution.simulated", step, *words]
    return Step(step, Kind.COMMAND.value, command, env, timeout=SETUP_SECONDS)


def _no_test_command(target: str) -> str:
    return (
        f"target {target} has no test_command here, so nobody knows how to run a test spec on it; "
        f"say it in runyard.toml under [targets.{target}]"
    )
