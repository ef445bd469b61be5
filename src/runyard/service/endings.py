"""How jobs and attempts ended, in words."""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence

from runyard.domain.event import Event, EventKind
from runyard.domain.job import Attempt, Job, Reason, State


def ending(job: Job, detail: str | None = None) -> str:
    """How a final job ended: ``failed: exit code 3 (attempt 2)``."""
    last = job.attempts[-1] if job.attempts else None
    if job.state is not State.FAILED:
        return job.state.value
    text = f"failed: {failure(job.reason, last, detail)}"
    return f"{text} (attempt {len(job.attempts)})" if len(job.attempts) > 1 else text


def failure(reason: Reason | None, attempt: Attempt | None, detail: str | None = None) -> str:
    """A reason in words, with the numbers of the attempt it is about."""
    if reason is Reason.EXIT_CODE and attempt:
        return f"exit code {attempt.exit_code}"
    if reason is Reason.SIGNAL and attempt and attempt.signal:
        return f"signal {attempt.signal} ({_signal_name(attempt.signal)})"
    seconds = ""
    if attempt and attempt.started_at and attempt.finished_at:
        seconds = f" after {attempt.finished_at - attempt.started_at:.1f} s"
    texts = {
        Reason.TIMEOUT: f"timeout{seconds}",
        Reason.SILENT: f"no output for too long, ended{seconds}",
        Reason.LOST: "its workers vanished too often",
        Reason.SETUP: "the setup of its target failed",
        Reason.NOT_STARTED: detail or "it could not be started",
    }
    return texts.get(reason, "unknown") if reason else "unknown"


def failure_detail(history: Sequence[Event]) -> str | None:
    """What the last failure had to say beyond its reason."""
    failed = [e for e in history if e.kind in (EventKind.FAILED, EventKind.RETRIED)]
    return failed[-1].data.get("detail") if failed else None


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return "unknown"
