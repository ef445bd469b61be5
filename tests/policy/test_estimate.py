"""Estimates: what a run is expected to take."""

from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from runyard.policy.estimate import SAMPLES, UNKNOWN_SECONDS, estimate, or_unknown, with_sample

SECONDS = st.floats(0, 1e6)


@given(st.lists(SECONDS, max_size=50))
def test_only_the_last_runs_count(runs: list[float]) -> None:
    samples: list[float] = []
    for seconds in runs:
        samples = with_sample(samples, seconds)
    assert samples == runs[-SAMPLES:]


@given(st.lists(SECONDS, min_size=1, max_size=SAMPLES))
def test_it_is_their_median(samples: list[float]) -> None:
    assert estimate(samples) == median(samples)


@given(st.lists(st.floats(40, 60), min_size=3, max_size=SAMPLES), SECONDS)
def test_one_odd_run_does_not_carry_it_away(samples: list[float], odd: float) -> None:
    assert 40 <= estimate([*samples, odd]) <= 60


def test_without_history_something_is_assumed() -> None:
    assert or_unknown(None) == UNKNOWN_SECONDS
    assert or_unknown(0.0) == 0.0
