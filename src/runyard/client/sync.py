"""``Runyard``: submit and watch jobs from Python, on this machine or on a server."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from runyard.client import arguments, credentials
from runyard.client.arguments import Ids, id_of, ids_of
from runyard.config import Settings
from runyard.domain.batch import Batch
from runyard.domain.event import Event
from runyard.domain.explanation import Explanation
from runyard.domain.job import Job, JobSpec, State
from runyard.domain.listing import BatchPage, Page
from runyard.errors import InvalidRequest

if TYPE_CHECKING:
    from runyard.client.credentials import Keyring
    from runyard.client.local import Local
    from runyard.client.remote import Remote

Jobs = list[Job]


class Runyard:
    """A client that works on the store of a home, and starts a background worker when needed; or,
    with a ``url``, on a server.

    ```python
    with Runyard() as yard:
        job = yard.submit("make test", timeout=600)
        print(yard.wait(job).state)
    ```

    ``home`` defaults to ``RUNYARD_HOME`` or the platform's data directory; ``database_url`` to
    ``RUNYARD_DATABASE_URL`` or a SQLite file in the home. With ``background_worker=False`` nothing
    is started: jobs wait until some worker comes. Safe to share between threads.

    ``url`` defaults to ``RUNYARD_URL`` or, where no home is named, to the server that ``runyard
    login`` signed in to; ``token`` to ``RUNYARD_TOKEN`` or what ``login`` keeps. While a server is
    away, requests are tried again for 20 seconds and waits for five minutes; a submission carries
    an idempotency key, so that it is never made twice.

    Errors are those of ``runyard.errors``; every method that takes an id also takes a unique
    prefix of one, a ``Job`` or a ``Batch``.
    """

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        database_url: str | None = None,
        *,
        url: str | None = None,
        token: str | None = None,
        background_worker: bool = True,
    ) -> None:
        if url and (home or database_url):
            raise InvalidRequest("a client works on a home or on a server: give one of them")
        keyring = None if home or database_url else credentials.find(url, token)
        self._background_worker = background_worker
        self._here: Local | Remote = (
            _local(home, database_url) if keyring is None else _remote(keyring)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connections; jobs go on."""
        self._here.close()

    @property
    def home(self) -> Path:
        """The directory that holds this client's database and logs. Raises ``InvalidRequest`` for
        the client of a server."""
        settings: Settings | None = getattr(self._here, "settings", None)
        if settings is None:
            raise InvalidRequest("the home is on the server")
        return settings.home.root

    def submit(self, command: str | Sequence[str], **fields: Any) -> Job:
        """Save a job and return it at once, before it runs.

        ``command`` is a shell line, a list of arguments, or with ``kind="python"`` a snippet; the
        other fields are those of ``JobSpec`` (``name``, ``cwd``, ``env``, ``timeout`` in seconds,
        ``max_attempts``, ``depends_on``, ``labels``, ``idempotency_key`` …). ``cwd`` defaults to
        this process's. Raises ``InvalidRequest``, ``NotFound`` for an unknown dependency, and
        ``Conflict`` for an idempotency key that was used for another job.
        """
        job = self._here.jobs.submit(arguments.spec_of(command, fields))
        self._ensure_worker()
        return job

    def submit_many(
        self,
        jobs: Iterable[JobSpec | Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> Jobs:
        """Save several jobs in one transaction and return them, in no batch: all of them, or on
        any error none. They may depend on each other by ``name``; one with a ``matrix`` stands for
        many (see ``submit_batch``). At most 10,000. Raises what ``submit_batch`` does."""
        found = self._here.jobs.submit_many(
            map(arguments.placed, jobs), idempotency_key=idempotency_key
        )
        self._ensure_worker()
        return found

    def submit_batch(
        self,
        jobs: Iterable[JobSpec | Mapping[str, Any]],
        *,
        matrix: Mapping[str, Sequence[object]] | None = None,
        exclude: Sequence[Mapping[str, object]] | None = None,
        name: str = "",
        description: str = "",
        idempotency_key: str | None = None,
    ) -> Batch:
        """Save many jobs in one transaction: all of them, or on any error none.

        A job with a ``matrix`` (``{"os": ["linux", "mac"]}``; ``exclude`` is a list of
        combinations to leave out) stands for one job for each combination, with ``{os}`` filled
        in; that of the batch is for jobs that have none.
        Jobs may depend on each other by ``name``. On this machine an iterator is read once and not
        kept, so a batch of any size may be generated; a server takes 100,000 jobs at once. Raises
        what ``submit`` does, and ``InvalidGraph``.
        """
        batch = self._here.jobs.submit_batch(
            map(arguments.placed, jobs),
            matrix=matrix,
            exclude=exclude,
            name=name,
            description=description,
            idempotency_key=idempotency_key,
        )
        self._ensure_worker()
        return batch

    def get(self, job: str | Job) -> Job:
        """The job as it is now. Raises ``NotFound``."""
        return self._here.jobs.get(id_of(job))

    def get_batch(self, batch: str | Batch) -> Batch:
        """The batch with its counters as they are now. Raises ``NotFound``."""
        return self._here.jobs.get_batch(id_of(batch))

    def list(
        self,
        *,
        state: State | str | Iterable[State | str] = (),
        batch: str | Batch | None = None,
        org_id: str | None = None,
        app_version_id: str | None = None,
        target: str | None = None,
        submitted_by: str | None = None,
        labels: Mapping[str, str | None] | None = None,
        text: str = "",
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """A page of jobs, newest first: ``page.jobs``, and ``page.next`` as the cursor of the
        next page or None. A label of value None matches whatever its value; ``text`` is a part of
        the name."""
        wanted = arguments.filter_of(
            state,
            batch,
            org_id=org_id,
            app_version_id=app_version_id,
            target=target,
            submitted_by=submitted_by,
            labels=dict(labels or {}),
            text=text,
        )
        return self._here.jobs.page(wanted, limit, cursor)

    def list_batches(
        self,
        *,
        state: State | str | Iterable[State | str] = (),
        org_id: str | None = None,
        submitted_by: str | None = None,
        text: str = "",
        limit: int = 50,
        cursor: str | None = None,
    ) -> BatchPage:
        """A page of batches, newest first: ``page.batches``, and ``page.next`` as the cursor of the
        next page or None. ``text`` is a part of the name."""
        wanted = arguments.batch_filter_of(state, org_id, submitted_by, text)
        return self._here.jobs.batch_page(wanted, limit, cursor)

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
        is_one = arguments.is_one_job(ids)
        jobs = self._here.jobs.wait(ids_of(ids), timeout, self._ensure_worker)
        return jobs[0] if is_one else jobs

    def cancel(self, ids: Ids) -> Jobs:
        """Cancel jobs or batches: waiting ones at once, running ones within moments."""
        return self._here.jobs.cancel(ids_of(ids))

    def retry(self, ids: Ids) -> Jobs:
        """Run jobs that ended without passing again, with a fresh budget of attempts, and with
        them the jobs that were skipped because of them. Raises ``Conflict`` for others."""
        jobs = self._here.jobs.retry(ids_of(ids))
        self._ensure_worker()
        return jobs

    def logs(
        self, job: str | Job, attempt: int | None = None, *, step: str = ""
    ) -> tuple[str, str]:
        """stdout and stderr of an attempt (by default the last); bytes that are no UTF-8 are
        replaced. Of more than 64 MiB a stream, the first and the last half are kept. ``step`` is
        ``setup`` or ``teardown`` for what preparing the device had to say."""
        return arguments.texts(self._here.jobs.logs(id_of(job), attempt, step))

    def follow(self, job: str | Job) -> Iterator[tuple[str, bytes]]:
        """What a job writes, as it appears, attempt after attempt, until it is final: pieces of
        ``stdout`` and ``stderr``."""
        return self._here.jobs.follow(id_of(job))

    def explain(self, job: str | Job) -> Explanation:
        """Why a job has not started, and when it is expected to, or how it ended."""
        return self._here.explain(id_of(job))

    def events(self, ids: Ids) -> Sequence[Event]:
        """Everything that happened to the jobs, oldest first."""
        return self._here.jobs.events(ids_of(ids))

    def _ensure_worker(self) -> None:
        if self._background_worker:
            self._here.ensure_worker()


# Each imports what the other has no use for: a database here, HTTP there.


def _local(home: str | os.PathLike[str] | None, database_url: str | None) -> Local:
    from runyard.client.local import Local

    return Local(Settings.load(home, database_url))


def _remote(keyring: Keyring) -> Remote:
    from runyard.client.remote import Remote

    return Remote(keyring)
