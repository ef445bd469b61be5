"""How ``run`` says why a task ended and how long it took."""

from __future__ import annotations

from collections.abc import Mapping

from runyard.cli.params import printable
from runyard.domain.job import Attempt, JobSpec, Reason, State
from runyard.service.endings import failure

LONGEST_NAME = 60

_BAD = {
    State.FAILED: "which failed",
    State.CANCELLED: "which was cancelled",
    State.SKIPPED: "which was skipped",
}


def failed_because(
    spec: JobSpec, reason: Reason | None, attempt: Attempt | None, detail: str | None = None
) -> str:
    """The reason of a failure; of a limit that was passed, the limit."""
    if reason is Reason.TIMEOUT and spec.timeout:
        return f"timeout after {spec.timeout:g} s"
    if reason is Reason.SILENT and spec.silent_timeout:
        return f"no output for {spec.silent_timeout:g} s"
    return failure(reason, attempt, detail)


def skipped_because(spec: JobSpec, states: Mapping[str, State]) -> str:
    """Which dependency did not pass; one that failed rather than one that was skipped itself."""
    for state, words in _BAD.items():
        for name in spec.depends_on:
            if states.get(name) is state:
                return f"needs {name}, {words}"
    outside = ", ".join(name for name in spec.depends_on if name not in states)
    return f"needs {outside}, which did not pass"


def short(name: str) -> str:
    """A name fit for a line with more on it."""
    name = printable(name)
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def duration(seconds: float) -> str:
    """``3.4 s``, ``2:05``, ``1:02:05``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
