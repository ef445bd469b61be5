"""Forecast: the same choice, made on into the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runyard.policy.choose import Candidate, Group, Slot, Usage
from runyard.policy.fits import Rules, Scope
from runyard.policy.forecast import Forecast, Line, Outlook, Place, Waiting, forecast

NOW = 6e6


@dataclass(frozen=True)
class Queue:
    """What rules ask of a queue."""

    group_id: int = 1
    submitted_by: str = "ann"
    org_id: str = "acme"
    target: str = "emulator"
    limit_key: str = ""


def line(*seconds: float, first: int = 1, id: int = 1, **placed: Any) -> Line:  # noqa: A002
    """A queue of jobs of the same class, longest first, numbered from ``first``."""
    jobs = [
        Waiting(Candidate(0.0, -one, first + n), one)
        for n, one in enumerate(sorted(seconds, reverse=True))
    ]
    return Line(id, Queue(**placed), "ann", jobs)


def place(seconds: float = 0.0, group: int | None = None, **runs: Any) -> Place:
    slot = Slot("emulator", group, install_seconds=10.0)
    return Place(slot, frozenset({"emulator"}), seconds, Queue(**runs) if seconds else None)


def outlook(places: Sequence[Place], *lines: Line, rules: Rules | None = None) -> Outlook:
    groups = {
        one.placed.group_id: Group(
            one.placed.group_id,
            one.placed.org_id,
            one.placed.target,
            f"v{one.placed.group_id}",
            (),
            work=sum(job.seconds for job in one.jobs),
            jobs=len(one.jobs),
        )
        for one in lines
    }
    return Outlook(NOW, places, groups, lines, rules or Rules(), Usage())


def when(seen: Outlook, goal: int, scale: float = 1.0) -> Forecast:
    return forecast(seen, goal, "emulator", scale)


def test_a_job_starts_when_those_before_it_are_done_and_installs_count() -> None:
    seen = outlook([place()], line(5, 4, 3))
    assert when(seen, 1) == Forecast(0.0, 0)
    assert when(seen, 2) == Forecast(15.0, 1)
    assert when(seen, 3) == Forecast(19.0, 2)


def test_what_runs_has_to_end_first() -> None:
    seen = outlook([place(7.0, group=1)], line(5))
    assert when(seen, 1) == Forecast(7.0, 0)


def test_everything_may_take_longer() -> None:
    seen = outlook([place(7.0, group=1)], line(5, 4))
    assert when(seen, 2, scale=2.0) == Forecast(24.0, 1)


def test_another_group_waits_until_the_slot_has_drained_its_own() -> None:
    seen = outlook([place(2.0, group=1)], line(5, 4), line(9, first=10, id=2, group_id=2))
    assert when(seen, 10) == Forecast(11.0, 2)


def test_limits_hold_in_the_future_too() -> None:
    rules = Rules(maximum={(Scope.ORG, "acme"): 1})
    rules.running[Scope.ORG, "acme"] = 1
    seen = outlook([place(7.0, group=1), place(group=1)], line(5, 4), rules=rules)
    assert when(seen, 1) == Forecast(7.0, 0)
    assert when(seen, 2) == Forecast(12.0, 1)


def test_what_is_paused_is_never_reached() -> None:
    rules = Rules(paused={(Scope.ORG, "acme"): NOW - 5})
    assert when(outlook([place()], line(5), rules=rules), 1) == Forecast(0.0, 0, is_reached=False)


def test_without_a_place_nothing_is_reached() -> None:
    assert when(outlook([], line(5)), 1) == Forecast(0.0, 0, is_reached=False)


def test_it_changes_nothing() -> None:
    rules = Rules(maximum={(Scope.ORG, "acme"): 5})
    seen = outlook([place()], line(5, 4, 3), rules=rules)
    before = replace(seen, rules=rules.copy(), usage=Usage())
    when(seen, 3)
    assert seen == before


@given(st.lists(st.floats(1, 100), min_size=1, max_size=8), st.integers(1, 3))
def test_every_job_is_reached_and_no_two_take_a_place_at_once(
    seconds: list[float], slots: int
) -> None:
    seen = outlook([place() for _ in range(slots)], line(*seconds))
    found = [when(seen, seq) for seq in range(1, len(seconds) + 1)]
    assert all(one.is_reached for one in found)
    assert sorted(one.before for one in found) == list(range(len(seconds)))
    for one in found:
        alive = sum(
            other.seconds <= one.seconds < other.seconds + job.seconds
            for other, job in zip(found, seen.lines[0].jobs, strict=True)
        )
        assert alive <= slots


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_first_in_line_starts_at_once(scale: float) -> None:
    assert when(outlook([place()], line(5)), 1, scale) == Forecast(0.0, 0)
