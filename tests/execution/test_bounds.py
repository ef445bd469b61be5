"""What a job may ask for, as it is submitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runyard.config import Settings
from runyard.domain.job import JobSpec
from runyard.errors import InvalidRequest
from runyard.execution.bounds import Bounds


def spec(**fields: Any) -> JobSpec:
    return JobSpec(command=["true"], **fields)


def bounds(home: Path, **environment: str) -> Bounds:
    return Bounds.of(Settings.load(home, environment=environment))


def refused(limits: Bounds, *specs: JobSpec) -> str:
    with pytest.raises(InvalidRequest) as refusal:
        list(limits.checked(specs))
    return str(refusal.value)


def test_without_settings_nothing_is_refused(home: Path) -> None:
    specs = [spec(cwd="/no/such"), spec(timeout=86400.0), spec()]

    assert list(bounds(home).checked(specs)) == specs


def test_the_first_that_asks_for_too_much_is_named(home: Path) -> None:
    limits = bounds(home, ALLOWED_WORKDIRS=str(home))
    good, bad = spec(cwd=str(home)), spec(cwd=f"{home}/x", name="unit")

    assert refused(limits, good, bad) == f"job 'unit': no such directory: {home}/x"
    assert refused(limits, spec(cwd="/")).startswith("directory / is not inside of ")


@pytest.mark.parametrize("later", [{"depends_on": ["build"]}, {"run_after": 2e9}], ids=str)
def test_the_directory_of_a_later_job_may_be_made_by_then(
    home: Path, later: dict[str, Any]
) -> None:
    limits = bounds(home, ALLOWED_WORKDIRS=str(home))
    job = spec(cwd=f"{home}/made", **later)

    assert list(limits.checked([job])) == [job]
    assert "no such directory" in refused(limits, job, spec(cwd=f"{home}/made"))
    assert "is not inside of" in refused(limits, spec(cwd="/made", **later))


def test_a_timeout_may_not_be_longer_than_the_longest(home: Path) -> None:
    limits = bounds(home, COMMAND_TIMEOUT_SECONDS="60")

    assert list(limits.checked([spec(timeout=60.0)]))
    assert refused(limits, spec(timeout=61.0)) == (
        "the timeout is too long: it asks for 61 s; at most 60 s are allowed"
    )


def test_a_worker_shortens_what_came_by_another_way(home: Path) -> None:
    limits = bounds(home, COMMAND_TIMEOUT_SECONDS="60")

    assert [limits.timeout(asked) for asked in (None, 5.0, 3600.0)] == [60.0, 5.0, 60.0]
    assert [bounds(home).timeout(asked) for asked in (None, 5.0)] == [None, 5.0]
