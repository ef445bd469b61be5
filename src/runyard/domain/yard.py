"""Groups, devices, workers, limits and counts as people see them."""

from __future__ import annotations

from pydantic import BaseModel, Field, computed_field

from runyard.domain.job import State, Timestamp
from runyard.domain.slot import SlotState


class Member(BaseModel):
    """A job of a group that waits or runs."""

    id: str
    name: str
    state: State
    slot: str | None = None


class Holder(BaseModel):
    """A slot on which a group's build is installed."""

    worker: str
    slot: str


class GroupView(BaseModel):
    """Jobs of one org, app version and target, which share an install.

    ``work_seconds`` is what its queued jobs are expected to take; ``started`` counts attempts, so
    ``installs_saved`` is how many of them found their build installed.
    """

    id: int
    org_id: str
    app_version_id: str | None
    target: str
    queued: int
    running: int
    work_seconds: float
    started: int
    installs: int
    is_paused: bool = False
    holders: list[Holder] = Field(default_factory=list)
    jobs: list[Member] = Field(default_factory=list)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def installs_saved(self) -> int:
        """Attempts that needed no install of their own; none in a lane, where nobody installs."""
        return max(0, self.started - self.installs) if self.app_version_id and self.installs else 0


class DeviceView(BaseModel):
    """A slot with what is installed and what runs on it; times are POSIX seconds."""

    name: str
    worker: str
    host: str
    target: str | None  # None: any that has no places of its own
    state: SlotState
    since: Timestamp
    reason: str | None = None
    org_id: str | None = None
    app_version_id: str | None = None
    job_id: str | None = None
    job_name: str | None = None


class LimitView(BaseModel):
    """What one user, org, target or key may have: ``running`` at once, ``waiting`` at a time; None
    means as many as there are. ``*`` is each user, or each org, without a line of its own. What
    counts against it now is ``running_now`` and, to one more than may wait, ``waiting_now``."""

    scope: str
    name: str
    running: int | None = None
    waiting: int | None = None
    running_now: int = 0
    waiting_now: int = 0


class PauseView(BaseModel):
    """An org or a target of which nothing starts, since an instant."""

    scope: str
    name: str
    since: Timestamp


class WorkerView(BaseModel):
    """A process that owns slots; ``targets`` null means any."""

    id: str
    host: str
    pid: int
    slots: int
    targets: list[str] | None
    started_at: Timestamp
    seen_at: Timestamp


class TargetView(BaseModel):
    """A kind of place, with how many slots serve it now; those that serve any are under ``any``."""

    name: str
    slots: int
    ready: int


class UserStats(BaseModel):
    """How many jobs a user of an org ever submitted, and what became of them."""

    user: str
    org_id: str
    submitted: int
    waiting: int
    running: int
    passed: int
    failed: int
    cancelled: int
    skipped: int
