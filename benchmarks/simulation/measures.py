"""What a run was like for those who waited: waits, fair shares, and whether class was respected."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import mean

from benchmarks.simulation.engine import Run, Span
from runyard.policy.choose import class_of, rank


def mean_wait(runs: Sequence[Run], priority: int) -> float:
    """The mean seconds until tests of a priority were claimed."""
    return mean(s.wait for run in runs for s in run.spans if s.task.priority == priority)


def longest_wait(runs: Sequence[Run]) -> float:
    """The longest seconds that any test was not claimed."""
    return max(span.wait for run in runs for span in run.spans)


def fairness(run: Run) -> float:
    """Jain's index of what each org got of the devices' time, installs included, while all of them
    had queued tests: 1 if all got the same, 1/n if one of n got everything."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for span in run.spans:
        org = span.task.org
        first[org] = min(first.get(org, span.task.arrives), span.task.arrives)
        last[org] = max(last.get(org, 0.0), span.claimed)
    begin, end, got = max(first.values()), min(last.values()), dict.fromkeys(last, 0.0)
    if end <= begin:  # one had run out before another got anything
        return 1 / len(got)
    for span in run.spans:
        got[span.task.org] += _overlap(span, begin, end)
    return sum(got.values()) ** 2 / (len(got) * sum(value**2 for value in got.values()))


def passed_over(run: Run) -> int:
    """How many tests saw one of lower class claimed while they waited and no device had the build.

    Only what another device is draining is left to it, if joining does not pay.
    """
    spans = sorted(run.spans, key=lambda span: span.claimed)
    times = [span.claimed for span in spans]
    tops, builds = _tops(spans), _Builds(run)
    return sum(
        any(
            _is_lower(other, span, top) and not builds.are_held(span.task.build, other)
            for other, top in _claimed_during(spans, times, tops, span)
        )
        for span in spans
    )


def longest_unexplained(run: Run) -> float:
    """The longest wait that is not due to work of equal or better class, as a multiple of the
    longest test with an install: of what may be running when a test arrives."""
    spans = sorted(run.spans, key=lambda span: span.claimed)
    times, tops = [span.claimed for span in spans], _tops(spans)
    longest = max(span.ends - span.starts for span in spans) + run.instance.install
    devices = run.instance.devices
    unexplained = (span.wait - _work_before(spans, times, tops, span, devices) for span in spans)
    return max(unexplained) / longest


def _tops(spans: list[Span]) -> list[int]:
    """For each claim, in their order, the highest priority of all that waited then."""
    arrivals = sorted(spans, key=lambda span: span.task.arrives)
    waiting, arrived, found = Counter[int](), 0, []
    for span in spans:
        while arrived < len(arrivals) and arrivals[arrived].task.arrives <= span.claimed:
            waiting[arrivals[arrived].task.priority] += 1
            arrived += 1
        found.append(max(priority for priority, count in waiting.items() if count))
        waiting[span.task.priority] -= 1
    return found


def _is_lower(one: Span, other: Span, top: int) -> bool:
    """Whether, when one was claimed, its class was lower than another's that waited: ageing raises
    both, but to the highest priority that waits and no further."""
    mine, others = (class_of(_rank(span), one.claimed) for span in (one, other))
    return min(mine, top) < min(others, top)


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


def _claimed_during(
    spans: list[Span], times: list[float], tops: list[int], waiting: Span
) -> Iterator[tuple[Span, int]]:
    """Those that were claimed while one waited, each with the top by then."""
    first, last = bisect_left(times, waiting.task.arrives), bisect_left(times, waiting.claimed)
    return zip(spans[first:last], tops[first:last], strict=True)


def _work_before(
    spans: list[Span], times: list[float], tops: list[int], waiting: Span, devices: int
) -> float:
    """The seconds that all devices together were busy with what was claimed meanwhile and of no
    lower class."""
    busy = sum(
        _overlap(span, waiting.task.arrives, waiting.claimed)
        for span, top in _claimed_during(spans, times, tops, waiting)
        if not _is_lower(span, waiting, top)
    )
    return busy / devices


def _overlap(span: Span, begin: float, end: float) -> float:
    return max(0.0, min(span.ends, end) - max(span.claimed, begin))


def _rank(span: Span) -> float:
    return rank(span.task.arrives, span.task.priority)
