"""What a run was like for those who waited: waits, fair shares, and whether rank was respected."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from statistics import mean

from benchmarks.simulation.engine import Run, Span
from runyard.policy.choose import rank


def mean_wait(runs: Sequence[Run], priority: int) -> float:
    """The mean seconds until tests of a priority were claimed."""
    return mean(s.wait for run in runs for s in run.spans if s.task.priority == priority)


def longest_wait(runs: Sequence[Run]) -> float:
    """The longest seconds that any test was not claimed."""
    return max(span.wait for run in runs for span in run.spans)


def fairness(run: Run) -> float:
    """Jain's index of what each org got of the devices' time, installs included, as long as none
    had run out of queued tests: 1 if all got the same, 1/n if one of n got everything."""
    last: dict[str, float] = {}
    for span in run.spans:
        last[span.task.org] = max(last.get(span.task.org, 0.0), span.claimed)
    end, got = min(last.values()), dict.fromkeys(last, 0.0)
    for span in run.spans:
        got[span.task.org] += _overlap(span, 0.0, end)
    return sum(got.values()) ** 2 / (len(got) * sum(value**2 for value in got.values()))


def passed_over(run: Run) -> int:
    """How many tests saw one of lower rank claimed while they waited and no device had their build.

    Ageing lets this never happen: whatever waits passes everything of its priority or less that
    comes later. Only what another device is draining is left to it, if joining does not pay.
    """
    spans = sorted(run.spans, key=lambda span: span.claimed)
    times = [span.claimed for span in spans]
    builds = _Builds(run)
    return sum(
        any(
            _rank(other) > _rank(span) and not builds.are_held(span.task.build, other)
            for other in _claimed_during(spans, times, span)
        )
        for span in spans
    )


def longest_unexplained(run: Run) -> float:
    """The longest wait that is not due to work of equal or better rank, as a multiple of the
    longest test with an install: of what may be running when a test arrives."""
    spans = sorted(run.spans, key=lambda span: span.claimed)
    longest = max(span.ends - span.starts for span in spans) + run.instance.install
    return max(span.wait - _work_before(spans, span, longest, run) for span in spans) / longest


class _Builds:
    """Which builds the devices had, at any time."""

    def __init__(self, run: Run) -> None:
        self._by_build: dict[int, list[Span]] = {}
        for span in run.spans:
            self._by_build.setdefault(span.task.build, []).append(span)

    def are_held(self, build: int, other: Span) -> bool:
        """Whether a device was at work on a build when another task was claimed elsewhere."""
        return any(
            span.claimed <= other.claimed <= span.ends and span.device != other.device
            for span in self._by_build[build]
        )


def _claimed_during(spans: list[Span], times: list[float], waiting: Span) -> list[Span]:
    """Those that were claimed while one waited."""
    first = bisect_left(times, waiting.task.arrives)
    return spans[first : bisect_left(times, waiting.claimed)]


def _work_before(spans: list[Span], waiting: Span, longest: float, run: Run) -> float:
    """The seconds that all devices together were busy with what ranks no lower."""
    arrives, claimed = waiting.task.arrives, waiting.claimed
    first = bisect_left(spans, arrives - longest, key=lambda span: span.claimed)
    last = bisect_left(spans, claimed, key=lambda span: span.claimed)
    busy = sum(
        _overlap(span, arrives, claimed)
        for span in spans[first:last]
        if _rank(span) <= _rank(waiting)
    )
    return busy / run.instance.devices


def _overlap(span: Span, begin: float, end: float) -> float:
    return max(0.0, min(span.ends, end) - max(span.claimed, begin))


def _rank(span: Span) -> float:
    return rank(span.task.arrives, span.task.priority)
