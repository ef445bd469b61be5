"""Submit jobs and batches, look at them, wait for them, change them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from runyard.config import Home
from runyard.domain.batch import LONGEST_DESCRIPTION, LONGEST_NAME, MOST_TOGETHER, Batch
from runyard.domain.event import Event
from runyard.domain.ids import batch_id, is_batch_id
from runyard.domain.job import Attempt, Job, JobSpec
from runyard.domain.listing import BatchFilter, BatchPage, JobFilter, Page, checked_limit
from runyard.domain.user import Actor
from runyard.domain.yard import UserStats
from runyard.engine import presence
from runyard.errors import Forbidden, InvalidRequest, NotFound, WaitTimeout
from runyard.execution import logs
from runyard.execution.bounds import Bounds
from runyard.execution.logs import LogPaths
from runyard.service import access, drafts, submission
from runyard.service.drafts import Draft
from runyard.store import (
    audit,
    batches,
    control,
    durations,
    listing,
    once,
    prune,
    quotas,
    tallies,
    views,
)
from runyard.store.database import Store, Tx
from runyard.store.durations import Key
from runyard.store.once import IdempotencyKey
from runyard.store.submit import NewBatch, NewJob, submit

POLL_SECONDS = (0.01, 0.25)  # first and longest pause between two looks of a wait
FOLLOW_SECONDS = 0.1  # between two looks at a growing log


class Jobs:
    """The requests about jobs, on one store and the home whose workers are to be woken, made by
    ``actor``: what is submitted counts as theirs and must keep to the ``bounds``, and what they
    may not see is not there."""

    def __init__(
        self, store: Store, home: Home, actor: Actor, bounds: Bounds | None = None
    ) -> None:
        self._store = store
        self._home = home
        self._actor = actor
        self._bounds = bounds or Bounds()

    def submit(self, spec: JobSpec) -> Job:
        """Save one job; with an idempotency key known already, returns the job saved then."""
        rows = self._prepare([spec])
        key = submission.key_for(rows, spec.idempotency_key)
        earlier = self._save(rows, None, key=key)
        if earlier is not None or spec.depends_on:
            return self.get(earlier or rows[0].id)
        return views.as_saved(rows[0])

    def submit_many(
        self, jobs: Iterable[Draft], *, idempotency_key: str | None = None
    ) -> list[Job]:
        """Save several jobs at once that are no batch; they may depend on each other by name, and
        one with a ``matrix`` stands for many. With an idempotency key known already, returns what
        is left of the jobs saved then."""
        rows = self._prepare(drafts.expanded(jobs))
        if not rows:
            raise InvalidRequest("there is no job to submit")
        if len(rows) > MOST_TOGETHER:
            raise InvalidRequest(f"they are more than {MOST_TOGETHER} jobs: submit them as a batch")
        key = submission.key_for(rows, idempotency_key)
        earlier = self._save(rows, None, key=key)
        with self._store.read() as tx:
            if earlier is None:
                return views.get_many(tx, [views.seq_of(tx, row.id) for row in rows])
            assert key is not None
            return views.get_many(tx, once.submitted(tx, key))

    def submit_batch(
        self,
        jobs: Iterable[Draft],
        *,
        matrix: Mapping[str, Sequence[object]] | None = None,
        exclude: Sequence[Mapping[str, object]] | None = None,
        name: str = "",
        description: str = "",
        org_id: str | None = None,
        idempotency_key: str | None = None,
        pool: str = "",
    ) -> Batch:
        """Save many jobs at once; they may depend on each other by name. A job may be a spec, or
        the fields of one and a ``matrix``; the batch's is for those that have none."""
        specs = drafts.expanded(jobs, matrix, exclude)
        submission.check_text("name", name, LONGEST_NAME)
        submission.check_text("description", description, LONGEST_DESCRIPTION)
        rows = self._prepare(specs, org_id)
        key = submission.key_for(rows, idempotency_key)
        org = rows[0].org_id if rows else self._org(org_id)
        batch = NewBatch(batch_id(), name, org, description, self._actor.name)
        return self.get_batch(self._save(rows, batch, pool=pool, key=key) or batch.id)

    def _prepare(self, specs: Iterable[JobSpec], org_id: str | None = None) -> list[NewJob]:
        """Rows of specs; those that name no org are of ``org_id``, or else of the actor's."""
        self._actor.require_change()
        actor = self._actor
        if actor.user_id is not None or org_id is not None:
            specs = (
                spec.model_copy(update={"org_id": self._org(_named_org(spec) or org_id)})
                for spec in specs
            )
        return submission.prepare(self._bounds.checked(specs), actor.name, self._expected)

    def _org(self, wanted: str | None) -> str:
        """The org that a submission is for."""
        if wanted is None:
            return self._actor.org_id
        if self._actor.sees not in (None, wanted):
            raise Forbidden(f"you may submit jobs of the org {self._actor.org_id} only")
        return wanted

    def _save(
        self,
        rows: Sequence[NewJob],
        batch: NewBatch | None,
        *,
        pool: str = "",
        key: IdempotencyKey | None = None,
    ) -> str | None:
        """Returns the id of what was saved earlier under the key, if anything was."""

        earlier = self._store.write_together(
            lambda tx: save(tx, self._actor, rows, batch, pool=pool, key=key), repeatable=bool(key)
        )
        self.wake_workers()
        return earlier

    def _expected(self, wanted: Iterable[Key]) -> Mapping[Key, float]:
        return self._store.look(lambda look: durations.expected(look, wanted))

    def get(self, job_id: str) -> Job:
        """A job by its id or a unique prefix."""
        with self._store.read() as tx:
            return views.named(tx, job_id, self._actor.sees)

    def get_batch(self, batch_id: str) -> Batch:
        """A batch by its id or a unique prefix."""
        with self._store.read() as tx:
            return batches.batch(tx, views.batch_seq_of(tx, batch_id, self._actor.sees))

    def full_ids(self, prefixes: Sequence[str]) -> list[str]:
        """Unique prefixes of job ids as whole ids."""
        with self._store.read() as tx:
            return [views.get(tx, self._seq(tx, prefix)).id for prefix in prefixes]

    def need_worker(self) -> bool:
        """Whether a job that any worker may take is ready to run, or will be in time."""
        from runyard.store import schedule  # with all that a claim needs, which a look does not

        with self._store.read() as tx:
            return schedule.is_expecting(tx, frozenset({""}), with_schedules=True)

    def members(self, ids: Sequence[str]) -> list[Job]:
        """The jobs meant by ids of jobs and batches, in order of submission."""
        with self._store.read() as tx:
            return views.get_many(tx, self._seqs(tx, ids))

    def page(self, wanted: JobFilter, limit: int = 50, cursor: str | None = None) -> Page:
        """The newest jobs first."""
        checked_limit(limit, "jobs")
        with self._store.read() as tx:
            return listing.page(tx, wanted, limit, cursor, self._actor.sees)

    def batch_page(
        self, wanted: BatchFilter, limit: int = 50, cursor: str | None = None
    ) -> BatchPage:
        """The newest batches first."""
        checked_limit(limit, "batches")
        with self._store.read() as tx:
            return batches.page(tx, wanted, limit, cursor, self._actor.sees)

    def stats(self) -> list[UserStats]:
        """How many jobs each user ever submitted, and what became of them."""
        with self._store.read() as tx:
            totals = tallies.by_user(tx, self._actor.sees)
        return [
            UserStats(
                user=total.submitted_by,
                org_id=total.org_id,
                submitted=total.submitted,
                waiting=total.waiting,
                running=total.running,
                passed=total.passed,
                failed=total.failed,
                cancelled=total.cancelled,
                skipped=total.skipped,
            )
            for total in totals
        ]

    def events(self, ids: Sequence[str]) -> list[Event]:
        """What happened to jobs, oldest first."""
        with self._store.read() as tx:
            return views.history(tx, self._seqs(tx, ids))

    def wait(
        self,
        ids: Sequence[str],
        timeout: float | None = None,
        idle: Callable[[], None] = lambda: None,
    ) -> list[Job]:
        """Until all the jobs are final; returns them. ``idle`` is called about once a second."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._store.read() as tx:
            seqs = self._seqs(tx, ids)
        left, pause, next_idle = seqs, POLL_SECONDS[0], 0.0
        while left:
            with self._store.read() as tx:
                left = views.unfinished(tx, left)
            now = time.monotonic()
            if left and deadline is not None and now >= deadline:
                raise WaitTimeout(f"{len(left)} of {len(seqs)} jobs are not finished yet")
            if left and now >= next_idle:
                next_idle = now + 1.0
                idle()
            if left:
                time.sleep(pause)
                pause = min(pause * 1.5, POLL_SECONDS[1])
        with self._store.read() as tx:
            return views.get_many(tx, seqs)

    def unfinished(self, ids: Sequence[str]) -> tuple[int, list[str]]:
        """How many jobs are meant, and the ids of those that have not ended."""
        with self._store.read() as tx:
            seqs = self._seqs(tx, ids)
            return len(seqs), views.ids_of(tx, views.unfinished(tx, seqs))

    def cancel(self, ids: Sequence[str]) -> list[Job]:
        """Cancel jobs, or all members of batches; running ones end within moments."""
        return self._change("cancel", ids, control.cancel)

    def retry(self, ids: Sequence[str]) -> list[Job]:
        """Run failed, cancelled and skipped jobs again. A batch means those of its members that
        ended so; a job named by itself must have."""

        def reopen(tx: Tx, _: Sequence[int]) -> None:
            named = self._seqs(tx, [i for i in ids if not is_batch_id(i)])
            members = self._seqs(tx, [i for i in ids if is_batch_id(i)])
            made = control.retry(tx, [*named, *views.retriable(tx, members)])
            if self._actor.sees is not None:  # else admins could not retry for others
                quotas.check(tx, self._actor.name, {self._actor.org_id}, len(made))

        return self._change("retry", ids, reopen)

    def complete(self, ids: Sequence[str]) -> list[Job]:
        """Declare jobs passed that have not ended; what waits for them goes on."""
        return self._change("force-complete", ids, control.complete)

    def purge(self, job_id: str) -> None:
        """Delete a job that has ended, with its logs."""

        def work(tx: Tx) -> list[str]:
            seqs = [self._seq(tx, job_id)]
            access.require_own(tx, self._actor, seqs)
            audit.note(tx, self._actor, "purge", job_id)
            return prune.purge(tx, seqs)

        self._delete_logs(self._store.write(work))

    def purge_batch(self, batch_id: str) -> None:
        """Delete a batch that has ended, with its members and their logs."""

        def work(tx: Tx) -> list[str]:
            seq = views.batch_seq_of(tx, batch_id, self._actor.sees)
            access.require_own_batch(tx, self._actor, seq)
            audit.note(tx, self._actor, "purge", batch_id)
            return prune.purge_batch(tx, seq)

        self._delete_logs(self._store.write(work))

    def _delete_logs(self, ids: Iterable[str]) -> None:
        for job_id in ids:
            logs.delete(self._home.logs, job_id)

    def logs(self, job_id: str, attempt: int | None = None, step: str = "") -> tuple[bytes, bytes]:
        """stdout and stderr of an attempt, by default of the last one; of its ``setup`` or
        ``teardown`` if that is the ``step``."""
        files = self.log_paths(self.get(job_id), attempt, step)
        return logs.read(files.stdout), logs.read(files.stderr)

    def tail(self, job: Job, stream: str, most: int) -> bytes:
        """The end of what a job's last attempt wrote to ``stdout`` or ``stderr``, in bytes."""
        return logs.tail(getattr(self.log_paths(job), stream), most)

    def log_paths(self, job: Job, attempt: int | None = None, step: str = "") -> LogPaths:
        """Where an attempt's output is; for one that never ran, where it would be."""
        fences = {one.number: one.fence for one in job.attempts} or {1: 1}
        if attempt is None:
            attempt = max(fences)
        elif attempt not in {one.number for one in job.attempts}:
            raise NotFound(f"job {job.id} has no attempt {attempt}")
        return logs.paths(self._home.logs, job.id, fences[attempt], step)

    def follow(self, job_id: str) -> Iterator[tuple[str, bytes]]:
        """What a job writes, as it appears, attempt after attempt, until the job is final: pieces
        of ``stdout`` and ``stderr``. Waits for a job that has not started."""
        fence, tails = -1, dict[str, logs.Tail]()
        is_over = False
        while not is_over:
            job = self.get(job_id)  # asked first: what was written before the end is read after it
            for attempt in _new_attempts(job, fence):
                yield from _drain(tails)
                fence = attempt.fence
                files = self.log_paths(job, attempt.number)
                tails = {"stdout": logs.Tail(files.stdout), "stderr": logs.Tail(files.stderr)}
            fence = max(fence, 0)
            is_over = job.is_final
            yield from _drain(tails)
            if not is_over:
                time.sleep(FOLLOW_SECONDS)

    def wake_workers(self) -> None:
        """Tell this home's workers that there is something to do."""
        presence.wake_workers(self._home.run)

    def _seq(self, tx: Tx, job_id: str) -> int:
        return views.seq_of(tx, job_id, self._actor.sees)

    def _seqs(self, tx: Tx, ids: Iterable[str]) -> list[int]:
        return views.seqs_of(tx, ids, self._actor.sees)

    def _change(
        self, action: str, ids: Sequence[str], change: Callable[[Tx, Sequence[int]], object]
    ) -> list[Job]:
        self._actor.require_change()

        def work(tx: Tx) -> list[int]:
            seqs = self._seqs(tx, ids)
            access.require_own(tx, self._actor, seqs)
            change(tx, seqs)
            for one in ids:
                audit.note(tx, self._actor, action, one)
            return seqs

        seqs = self._store.write(work)
        self.wake_workers()
        with self._store.read() as tx:
            return views.get_many(tx, seqs)


def _named_org(spec: JobSpec) -> str | None:
    """The org that a spec names, if it does."""
    return spec.org_id if "org_id" in spec.model_fields_set else None


def save(
    tx: Tx,
    actor: Actor,
    rows: Sequence[NewJob],
    batch: NewBatch | None,
    *,
    pool: str = "",
    key: IdempotencyKey | None = None,
) -> str | None:
    """Submit jobs for somebody, within their quota; returns the id of what was saved earlier under
    the key, if anything was."""
    earlier = submit(tx, rows, batch, pool=pool, key=key, org=actor.sees)
    if earlier is None:
        quotas.check(tx, actor.name, {row.org_id for row in rows}, len(rows))
        audit.note(tx, actor, "submit", batch.id if batch else rows[0].id, {"jobs": len(rows)})
    return earlier


def _new_attempts(job: Job, seen: int) -> list[Attempt]:
    """Those after the last fence ``seen``; the job's last if we have not looked before (-1)."""
    new = [attempt for attempt in job.attempts if attempt.fence > seen]
    return new[-1:] if seen < 0 else new


def _drain(tails: Mapping[str, logs.Tail]) -> Iterator[tuple[str, bytes]]:
    for stream, tail in tails.items():
        while data := tail.read():
            yield stream, data
