"""Why a job is where it is, in words."""

from __future__ import annotations

from runyard.clock import isoformat
from runyard.domain.explanation import Cause, Explanation, say
from runyard.domain.job import Job, State
from runyard.service import waiting
from runyard.service.endings import ending, failure, failure_detail
from runyard.service.phrases import span
from runyard.service.waiting import Reckoning
from runyard.store import views
from runyard.store.database import Store, Tx


def explain(store: Store, job_id: str, reckoning: Reckoning, org: str | None = None) -> Explanation:
    """Why the job has not started, or how it ended; if ``org`` is given, a job of that org."""
    with store.read() as tx:
        seq = views.seq_of(tx, job_id, org)
        job = views.get(tx, seq)
        if job.state is State.QUEUED:
            return waiting.explain(tx, seq, job, reckoning, org)
        if job.state is State.DELAYED:
            return _delayed(tx, seq, job)
        if job.state in (State.BLOCKED, State.SKIPPED):
            return _depending(tx, seq, job)
        if job.state is State.RUNNING:
            return _running(tx, seq, job)
        detail = failure_detail(views.history(tx, [seq]))
        return say(job, job.reason or job.state, ending(job, detail))


def _delayed(tx: Tx, seq: int, job: Job) -> Explanation:
    due = views.placement(tx, seq).run_after
    left = max(0.0, due - tx.now)
    when = f"not before {isoformat(due)} (in {f'{left:.1f} s' if left < 10 else span(left)})"
    if not job.attempts:
        return say(job, "scheduled", f"delayed: {when}")
    last = job.attempts[-1]
    detail = failure_detail(views.history(tx, [seq]))
    why = failure(last.reason, last, detail)
    return say(job, "backoff", f"delayed: attempt {len(job.attempts)} failed ({why}); {when}")


def _depending(tx: Tx, seq: int, job: Job) -> Explanation:
    open_parents = [p for p in views.parents_of(tx, seq) if p.state is not State.PASSED]
    causes = [Cause(id=p.id, name=p.name, state=p.state) for p in open_parents]
    if job.state is State.SKIPPED:
        bad = [c for c in causes if c.state in (State.FAILED, State.CANCELLED, State.SKIPPED)]
        names = ", ".join(f"{c.name} ({c.id}) is {c.state}" for c in bad)
        found = say(job, "dependency", f"skipped: {names}")
    else:
        names = ", ".join(f"{c.name} ({c.id}, {c.state})" for c in causes[:5])
        more = f" and {len(causes) - 5} more" if len(causes) > 5 else ""
        found = say(job, "dependency", f"blocked: waits for {names}{more}")
    return found.model_copy(update={"waits_for": causes})


def _running(tx: Tx, seq: int, job: Job) -> Explanation:
    live = job.attempts[-1]
    seconds = tx.now - (live.started_at or tx.now)
    text = f"running for {seconds:.1f} s on {live.worker}, slot {live.slot}"
    if views.placement(tx, seq).cancel_requested:
        return say(job, "cancelling", f"{text}; it is being cancelled")
    return say(job, "running", text)
