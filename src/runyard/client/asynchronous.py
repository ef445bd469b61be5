"""``AsyncRunyard``: the same on a server, for programs with an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Self, overload

from runyard.client import arguments, credentials
from runyard.client.arguments import Ids, id_of, ids_of
from runyard.client.asking import Asker
from runyard.client.async_driver import AsyncDriver
from runyard.client.job_asks import JobAsks
from runyard.domain.batch import Batch
from runyard.domain.event import Event
from runyard.domain.explanation import Explanation
from runyard.domain.job import Job, JobSpec, State
from runyard.domain.listing import BatchPage, Page
from runyard.errors import InvalidRequest

Jobs = list[Job]


class AsyncRunyard:
    """A client of a server. The methods are those of ``Runyard``, which says what they do.

    ```python
    async with AsyncRunyard(url="https://yard.example", token="ryt_…") as yard:
        jobs = await asyncio.gather(*(yard.submit(["./case", str(n)]) for n in range(100)))
        await yard.wait(jobs)
    ```

    Raises ``InvalidRequest`` where no server is named: on this machine's own store work is done
    by ``Runyard``, say in ``asyncio.to_thread``.
    """

    def __init__(self, *, url: str | None = None, token: str | None = None) -> None:
        keyring = credentials.find(url, token)
        if keyring is None:
            raise InvalidRequest("no server is named: give url, set RUNYARD_URL, or runyard login")
        self._asks = JobAsks(Asker(keyring))
        self._driver = AsyncDriver(keyring.url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; jobs go on."""
        await self._driver.close()

    async def submit(self, command: str | Sequence[str], **fields: Any) -> Job:
        """Save a job and return it at once, before it runs."""
        return await self._driver.run(self._asks.submit(arguments.spec_of(command, fields)))

    async def submit_many(
        self,
        jobs: Iterable[JobSpec | Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
    ) -> Jobs:
        """Save several jobs in one transaction and return them, in no batch."""
        ask = self._asks.submit_many(map(arguments.placed, jobs), idempotency_key=idempotency_key)
        return await self._driver.run(ask)

    async def submit_batch(
        self,
        jobs: Iterable[JobSpec | Mapping[str, Any]],
        *,
        matrix: Mapping[str, Sequence[object]] | None = None,
        exclude: Sequence[Mapping[str, object]] | None = None,
        name: str = "",
        description: str = "",
        idempotency_key: str | None = None,
    ) -> Batch:
        """Save many jobs in one transaction: all of them, or on any error none."""
        ask = self._asks.submit_batch(
            map(arguments.placed, jobs),
            matrix=matrix,
            exclude=exclude,
            name=name,
            description=description,
            idempotency_key=idempotency_key,
        )
        return await self._driver.run(ask)

    async def get(self, job: str | Job) -> Job:
        """The job as it is now."""
        return await self._driver.run(self._asks.get(id_of(job)))

    async def get_batch(self, batch: str | Batch) -> Batch:
        """The batch with its counters as they are now."""
        return await self._driver.run(self._asks.get_batch(id_of(batch)))

    async def list(
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
        """A page of jobs, newest first."""
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
        return await self._driver.run(self._asks.page(wanted, limit, cursor))

    async def list_batches(
        self,
        *,
        state: State | str | Iterable[State | str] = (),
        org_id: str | None = None,
        submitted_by: str | None = None,
        text: str = "",
        limit: int = 50,
        cursor: str | None = None,
    ) -> BatchPage:
        """A page of batches, newest first."""
        wanted = arguments.batch_filter_of(state, org_id, submitted_by, text)
        return await self._driver.run(self._asks.batch_page(wanted, limit, cursor))

    @overload
    async def wait(  # type: ignore[overload-overlap]  # a string is a sequence, too
        self, ids: str | Job, timeout: float | None = None
    ) -> Job: ...

    @overload
    async def wait(
        self, ids: Batch | Sequence[str | Job | Batch], timeout: float | None = None
    ) -> Jobs: ...

    async def wait(self, ids: Ids, timeout: float | None = None) -> Job | Jobs:
        """Until all of them are final."""
        is_one = arguments.is_one_job(ids)
        jobs = await self._driver.run(self._asks.wait(ids_of(ids), timeout))
        return jobs[0] if is_one else jobs

    async def cancel(self, ids: Ids) -> Jobs:
        """Cancel jobs or batches."""
        return await self._driver.run(self._asks.cancel(ids_of(ids)))

    async def retry(self, ids: Ids) -> Jobs:
        """Run jobs that ended without passing again."""
        return await self._driver.run(self._asks.retry(ids_of(ids)))

    async def logs(
        self, job: str | Job, attempt: int | None = None, *, step: str = ""
    ) -> tuple[str, str]:
        """stdout and stderr of an attempt."""
        return arguments.texts(await self._driver.run(self._asks.logs(id_of(job), attempt, step)))

    def follow(self, job: str | Job) -> AsyncIterator[tuple[str, bytes]]:
        """What a job writes, as it appears, until it is final."""
        return self._driver.iterate(self._asks.follow(id_of(job)))

    async def explain(self, job: str | Job) -> Explanation:
        """Why a job has not started, or how it ended."""
        return await self._driver.run(self._asks.explain(id_of(job)))

    async def events(self, ids: Ids) -> Sequence[Event]:
        """Everything that happened to the jobs, oldest first."""
        return await self._driver.run(self._asks.events(ids_of(ids)))
