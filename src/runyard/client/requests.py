"""What people ask for, whoever answers: the services of this machine, or a server's over REST.

The command line and the Python client know these protocols only. The services of ``service`` have
this form by themselves; ``client.remote`` gives it to a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from runyard.domain.batch import Batch
    from runyard.domain.event import Event
    from runyard.domain.explanation import Explanation
    from runyard.domain.job import Job, JobSpec
    from runyard.domain.listing import (
        AuditFilter,
        BatchFilter,
        BatchPage,
        GroupFilter,
        JobFilter,
        NameFilter,
        Page,
        UserFilter,
    )
    from runyard.domain.parameters import Value
    from runyard.domain.template import Template
    from runyard.domain.timetable import Missed, Overlap, Schedule
    from runyard.domain.user import ApiToken, AuditEntry, Role, TokenScope, User
    from runyard.domain.yard import (
        DeviceView,
        GroupView,
        LimitView,
        PauseView,
        TargetView,
        UserStats,
        WorkerView,
    )
    from runyard.policy.fits import Scope
    from runyard.service.drafts import Draft


class JobRequests(Protocol):
    """About jobs and batches; see ``service.jobs.Jobs``."""

    def submit(self, spec: JobSpec) -> Job: ...

    def submit_many(
        self, jobs: Iterable[Draft], *, idempotency_key: str | None = None
    ) -> list[Job]: ...

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
    ) -> Batch: ...

    def get(self, job_id: str) -> Job: ...

    def get_batch(self, batch_id: str) -> Batch: ...

    def full_ids(self, prefixes: Sequence[str]) -> list[str]: ...

    def members(self, ids: Sequence[str]) -> list[Job]: ...

    def page(self, wanted: JobFilter, limit: int = 50, cursor: str | None = None) -> Page: ...

    def batch_page(
        self, wanted: BatchFilter, limit: int = 50, cursor: str | None = None
    ) -> BatchPage: ...

    def stats(self) -> list[UserStats]: ...

    def events(self, ids: Sequence[str]) -> list[Event]: ...

    def wait(
        self,
        ids: Sequence[str],
        timeout: float | None = None,
        idle: Callable[[], None] = lambda: None,
    ) -> list[Job]: ...

    def cancel(self, ids: Sequence[str]) -> list[Job]: ...

    def retry(self, ids: Sequence[str]) -> list[Job]: ...

    def complete(self, ids: Sequence[str]) -> list[Job]: ...

    def purge(self, job_id: str) -> None: ...

    def purge_batch(self, batch_id: str) -> None: ...

    def logs(
        self, job_id: str, attempt: int | None = None, step: str = ""
    ) -> tuple[bytes, bytes]: ...

    def tail(self, job: Job, stream: str, most: int) -> bytes: ...

    def follow(self, job_id: str) -> Iterator[tuple[str, bytes]]: ...


class YardRequests(Protocol):
    """About groups, devices, pauses and limits; see ``service.yardmaster.Yardmaster``."""

    def groups(self, limit: int = 50, wanted: GroupFilter | None = None) -> list[GroupView]: ...

    def devices(self) -> list[DeviceView]: ...

    def workers(self) -> list[WorkerView]: ...

    def targets(self) -> list[TargetView]: ...

    def drain(self, device: str) -> int: ...

    def resume_device(self, device: str) -> int: ...

    def pauses(self) -> list[PauseView]: ...

    def pause(self, scope: Scope, name: str) -> bool: ...

    def resume(self, scope: Scope, name: str) -> bool: ...

    def change_limit(self, scope: Scope, name: str, changes: Mapping[str, int | None]) -> None: ...

    def limits(self) -> list[LimitView]: ...

    def set_priority(self, job_id: str, priority: int) -> Job: ...

    def cancel_group(self, group: int) -> list[str]: ...


class AccountRequests(Protocol):
    """About users and tokens; see ``service.accounts.Accounts``."""

    def add(
        self, name: str, role: Role, org_id: str = "default", password: str | None = None
    ) -> User: ...

    def page(
        self, after: str = "", limit: int = 100, wanted: UserFilter | None = None
    ) -> list[User]: ...

    def set_role(self, name: str, role: Role) -> User: ...

    def set_password(self, name: str, password: str, current: str | None = None) -> User: ...

    def disable(self, name: str) -> User: ...

    def enable(self, name: str) -> User: ...

    def create_token(
        self, name: str, scope: TokenScope, days: float | None = 90.0, user: str | None = None
    ) -> tuple[ApiToken, str]: ...

    def tokens(self, user: str | None = None) -> list[ApiToken]: ...

    def revoke_token(self, token_id: str) -> None: ...

    def audit(
        self, wanted: AuditFilter | None = None, limit: int = 100, before: int | None = None
    ) -> list[AuditEntry]: ...


class TemplateRequests(Protocol):
    """About templates; see ``service.templates.Templates``."""

    def save(
        self,
        name: str,
        document: Any,
        *,
        org_id: str | None = None,
        directory: str | None = None,
    ) -> Template: ...

    def get(self, name: str, org_id: str | None = None) -> Template: ...

    def page(
        self,
        limit: int = 100,
        after: tuple[str, str] | None = None,
        wanted: NameFilter | None = None,
    ) -> list[Template]: ...

    def remove(self, name: str, org_id: str | None = None) -> None: ...

    def run(
        self,
        name: str,
        parameters: Mapping[str, Value],
        *,
        org_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Batch: ...


class ScheduleRequests(Protocol):
    """About schedules; see ``service.schedules.Schedules``."""

    def add(
        self,
        name: str,
        template: str,
        cron: str,
        *,
        timezone: str = "UTC",
        parameters: Mapping[str, Value] | None = None,
        missed: Missed | str = "once",
        overlap: Overlap | str = "skip",
        org_id: str | None = None,
    ) -> Schedule: ...

    def get(self, name: str, org_id: str | None = None) -> Schedule: ...

    def page(
        self,
        limit: int = 100,
        after: tuple[str, str] | None = None,
        wanted: NameFilter | None = None,
    ) -> list[Schedule]: ...

    def upcoming(self, name: str, count: int = 5, org_id: str | None = None) -> list[datetime]: ...

    def pause(self, name: str, org_id: str | None = None) -> Schedule: ...

    def resume(self, name: str, org_id: str | None = None) -> Schedule: ...

    def remove(self, name: str, org_id: str | None = None) -> None: ...


class Requests(Protocol):
    """All of them, until closed."""

    @property
    def is_local(self) -> bool:
        """Whether a store of this machine answers, and workers of this machine run the jobs."""
        ...

    @property
    def jobs(self) -> JobRequests: ...

    @property
    def yard(self) -> YardRequests: ...

    @property
    def accounts(self) -> AccountRequests: ...

    @property
    def templates(self) -> TemplateRequests: ...

    @property
    def schedules(self) -> ScheduleRequests: ...

    def explain(self, job_id: str) -> Explanation:
        """Why a job is where it is."""
        ...

    def ensure_worker(self) -> None:
        """See that somebody runs what waits, as far as that is ours to see to."""
        ...

    def close(self) -> None:
        """Give back what is held; jobs go on."""
        ...
