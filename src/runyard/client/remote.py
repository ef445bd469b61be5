"""A server's answers in the form of the services of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from runyard.client.asking import Asker
from runyard.client.credentials import Keyring
from runyard.client.drivers import SyncDriver
from runyard.client.job_asks import JobAsks
from runyard.domain.event import Event
from runyard.domain.explanation import Explanation

if TYPE_CHECKING:
    from runyard.client.requests import (
        AccountRequests,
        JobRequests,
        ScheduleRequests,
        TemplateRequests,
        YardRequests,
    )

STREAMS = frozenset({"follow", "watch"})


class Remote:
    """The requests, answered by a server; may be used by many threads at once. What most commands
    do not ask for is imported when it is."""

    is_local = False

    def __init__(self, keyring: Keyring) -> None:
        self._asker = Asker(keyring)
        self._driver = SyncDriver(keyring.url)
        self._jobs = JobAsks(self._asker)

    @cached_property
    def jobs(self) -> JobRequests:
        """About jobs and batches."""
        return cast("JobRequests", _Answered(self._jobs, self._driver))

    @cached_property
    def yard(self) -> YardRequests:
        """About groups, devices, pauses and limits."""
        from runyard.client.other_asks import YardAsks

        return cast("YardRequests", _Answered(YardAsks(self._asker), self._driver))

    @cached_property
    def accounts(self) -> AccountRequests:
        """About users and tokens."""
        from runyard.client.other_asks import AccountAsks

        return cast("AccountRequests", _Answered(AccountAsks(self._asker), self._driver))

    @cached_property
    def templates(self) -> TemplateRequests:
        """About templates."""
        from runyard.client.template_asks import TemplateAsks

        return cast("TemplateRequests", _Answered(TemplateAsks(self._asker), self._driver))

    @cached_property
    def schedules(self) -> ScheduleRequests:
        """About schedules."""
        from runyard.client.template_asks import ScheduleAsks

        return cast("ScheduleRequests", _Answered(ScheduleAsks(self._asker), self._driver))

    def explain(self, job_id: str) -> Explanation:
        """Why a job is where it is."""
        return self._driver.run(self._jobs.explain(job_id))

    def watch(self, batch_id: str, after: int) -> Iterator[Event | None]:
        """The events of a batch behind that one, without end; see ``JobAsks.watch``."""
        return self._driver.iterate(self._jobs.watch(batch_id, after))

    def ensure_worker(self) -> None:
        """Workers are the server's business."""

    def close(self) -> None:
        """Close the connections."""
        self._driver.close()


class _Answered:
    """The methods of some asks, answered. That they are those of a protocol of ``requests``, a
    test compares."""

    def __init__(self, asks: object, driver: SyncDriver) -> None:
        self._asks = asks
        self._driver = driver

    def __getattr__(self, name: str) -> Callable[..., Any]:
        ask = getattr(self._asks, name)
        carry_out = self._driver.iterate if name in STREAMS else self._driver.run
        return lambda *args, **more: carry_out(ask(*args, **more))
