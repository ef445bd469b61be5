"""``Runyard``: submit and watch jobs from Python, on the store of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, overload

from runyard import bootstrap
from runyard.config import Settings
from runyard.domain.batch import Batch
from runyard.domain.event import Event
from runyard.domain.ids import is_batch_id
from runyard.domain.job import Job, JobSpec, State
from runyard.errors import InvalidRequest
from runyard.service import submission
from runyard.store.listing import JobFilter, Page

Jobs = list[Job]
Ids = str | Job | Batch | Sequence[str | Job | Batch]


class Runyard:
    """A client that works on the store of a home, and starts a background worker when needed.

    ```python
    with Runyard() as yard:
        job = yard.submit("make test", timeout=600)
        print(yard.wait(job).state)
    ```

    ``home`` defaults to ``RUNYARD_HOME`` or the platform's data directory; ``database_url`` to
    ``RUNYARD_DATABASE_URL`` or a SQLite file in the home. With ``background_worker=False`` nothing
    is started: jobs wait until some worker comes. Safe to share between threads.

    Errors are those of ``runyard.errors``; every method that takes an id also takes a unique
    prefix of one, a ``Job`` or a ``Batch``.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        database_url: str | None = None,
        *,
        background_worker: bool = True,
    ) -> None:
        self._settings = Settings.load(home, database_url)
        self._store = bootstrap.open_store(self._settings)
        self._jobs = bootstrap.jobs(self._settings, self._store)
        self._background_worker = background_worker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the database connections; jobs go on."""
        self._store.close()

    @property
    def home(self) -> Path:
        """The directory that holds this client's database and logs."""
        return self._settings.home.root

    def submit(self, command: str | Sequence[str], **fields: Any) -> Job:
        """Save a job and return it at once, before it runs.

        ``command`` is a shell line, a list of arguments, or with ``kind="python"`` a snippet; the
        other fields are those of ``JobSpec`` (``name``, ``cwd``, ``env``, ``timeout`` in seconds,
        ``max_attempts``, ``depends_on``, ``labels``, ``idempotency_key`` …). ``cwd`` defaults to
        this process's. Raises ``InvalidRequest``, ``NotFound`` for an unknown dependency, and
        ``Conflict`` for an idempotency key that was used for another job.
        """
        job = self._jobs.submit(submission.validated(self._fields({**fields, "command": command})))
        self._ensure_worker()
        return job

    def submit_batch(
        self,
        jobs: Iterable[JobSpec | Mapping[str, Any]],
        *,
        matrix: Mapping[str, Sequence[object]] | None = None,
        exclude: Sequence[Mapping[str, object]] | None = None,
        name: str = "",
        idempotency_key: str | None = None,
    ) -> Batch:
        """Save many jobs in one transaction: all of them, or on any error none.

        A job with a ``matrix`` (``{"os": ["linux", "mac"]}``; ``exclude`` is a list of
        combinations to leave out) stands for one job for each combination, with ``{os}`` filled
        in; that of the batch is for jobs that have none.
        Jobs may depend on each other by ``name``. An iterator is read once and not kept, so a
        batch of any size may be generated. Raises what ``submit`` does, and ``InvalidGraph``.
        """
        batch = self._jobs.submit_batch(
            map(self._at_home, jobs),
            matrix=matrix,
            exclude=exclude,
            name=name,
            idempotency_key=idempotency_key,
        )
        self._ensure_worker()
        return batch

    def get(self, job: str | Job) -> Job:
        """The job as it is now. Raises ``NotFound``."""
        return self._jobs.get(_id(job))

    def get_batch(self, batch: str | Batch) -> Batch:
        """The batch with its counters as they are now. Raises ``NotFound``."""
        return self._jobs.get_batch(_id(batch))

    def list(
        self,
        *,
        state: State | str | Iterable[State | str] = (),
        batch: str | Batch | None = None,
        org_id: str | None = None,
        app_version_id: str | None = None,
        target: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """A page of jobs, newest first: ``page.jobs``, and ``page.next`` as the cursor of the
        next page or None. A label of value None matches whatever its value."""
        states = [state] if isinstance(state, str) else state
        wanted = JobFilter(
            frozenset(map(_state, states)),
            None if batch is None else _id(batch),
            org_id,
            app_version_id,
            target,
            labels=dict(labels or {}),
        )
        return self._jobs.page(wanted, limit, cursor)

    @overload
    def wait(  # type: ignore[overload-overlap]  # a string is a sequence, too
        self, ids: str | Job, timeout: float | None = None
    ) -> Job: ...

    @overload
    def wait(
        self, ids: Batch | Sequence[str | Job | Batch], timeout: float | None = None
    ) -> Jobs: ...

    def wait(self, ids: Ids, timeout: float | None = None) -> Job | Jobs:
        """Until a job, or all of several jobs, or all members of a batch are final; returns them
        as they ended. ``timeout`` in seconds; raises ``WaitTimeout``, and the jobs go on. The id
        of a batch is taken inside a list: ``wait([id])``."""
        if isinstance(ids, str) and is_batch_id(ids):
            raise InvalidRequest(f"{ids} is a batch: wait([{ids!r}]) returns its jobs")
        jobs = self._jobs.wait(_ids(ids), timeout, self._ensure_worker)
        return jobs[0] if isinstance(ids, str | Job) else jobs

    def cancel(self, ids: Ids) -> Jobs:
        """Cancel jobs or batches: waiting ones at once, running ones within moments."""
        return self._jobs.cancel(_ids(ids))

    def retry(self, ids: Ids) -> Jobs:
        """Run jobs that ended without passing again, with a fresh budget of attempts, and with
        them the jobs that were skipped because of them. Raises ``Conflict`` for others."""
        jobs = self._jobs.retry(_ids(ids))
        self._ensure_worker()
        return jobs

    def logs(
        self, job: str | Job, attempt: int | None = None, *, step: str = ""
    ) -> tuple[str, str]:
        """stdout and stderr of an attempt (by default the last); bytes that are no UTF-8 are
        replaced. Of more than 64 MiB a stream, the first and the last half are kept. ``step`` is
        ``setup`` or ``teardown`` for what preparing the device had to say."""
        out, err = self._jobs.logs(_id(job), attempt, step)
        return out.decode(errors="replace"), err.decode(errors="replace")

    def events(self, ids: Ids) -> Sequence[Event]:
        """Everything that happened to the jobs, oldest first."""
        return self._jobs.events(_ids(ids))

    def _at_home(self, job: JobSpec | Mapping[str, Any]) -> JobSpec | Mapping[str, Any]:
        if isinstance(job, JobSpec) and job.cwd and os.path.isabs(job.cwd):
            return job
        return self._fields(job.model_dump(exclude_unset=True) if isinstance(job, JobSpec) else job)

    def _fields(self, job: Mapping[str, Any]) -> dict[str, Any]:
        fields = dict(job)
        name = "working_dir" if "working_dir" in fields else "cwd"
        cwd = fields.get(name)
        if cwd is None or cwd == "":  # a worker stands elsewhere
            fields[name] = os.getcwd()
        elif isinstance(cwd, str | os.PathLike):
            fields[name] = os.path.abspath(cwd)
        return fields

    def _ensure_worker(self) -> None:
        if self._background_worker:
            bootstrap.ensure_worker(self._settings)


def _state(word: State | str) -> State:
    try:
        return State(word)
    except ValueError:
        states = ", ".join(State)
        raise InvalidRequest(f"{word!r} is no state of a job: they are {states}") from None


def _id(thing: str | Job | Batch) -> str:
    return thing if isinstance(thing, str) else thing.id


def _ids(things: Ids) -> list[str]:
    return [_id(things)] if isinstance(things, str | Job | Batch) else [_id(t) for t in things]
