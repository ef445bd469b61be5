"""Which jobs, batches or groups a list shows, and a page of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from runyard.domain.batch import Batch
from runyard.domain.job import Job, State
from runyard.domain.slot import SlotState
from runyard.domain.user import Role, TokenScope
from runyard.domain.yard import GroupView
from runyard.errors import InvalidRequest, NotFound

Place = tuple[str, ...]  # where in its order a list's item stands


def cursor_of(place: Place) -> str:
    """A cursor that stands for what comes behind a place."""
    return "/".join(quote(part, safe="") for part in place)


def place_of(cursor: str, length: int) -> Place:
    """The place that a cursor stands for. Raises ``NotFound`` if no such list gave it."""
    parts = tuple(map(unquote, cursor.split("/")))
    if len(parts) != length or "\0" in cursor or any("\0" in part for part in parts):
        raise _not_given(cursor)
    return parts


def number_of(cursor: str) -> int:
    """The number that a cursor of jobs or batches stands for. Raises ``NotFound`` if no such list
    gave it."""
    if not re.fullmatch("[0-9]{1,18}", cursor):
        raise _not_given(cursor)
    return int(cursor)


def _not_given(cursor: str) -> NotFound:
    return NotFound(f"{cursor[:100]!r} is not a cursor that a list gave")


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list shows; None and empty mean any. ``text`` is a part of the name, or of the
    command of a job without one."""

    states: frozenset[State] = frozenset()
    batch_id: str | None = None
    org_id: str | None = None
    app_version_id: str | None = None
    target: str | None = None
    submitted_by: str | None = None
    labels: dict[str, str | None] = field(default_factory=dict)  # None: has it, whatever its value
    text: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a list; ``next`` is the cursor of the part after it."""

    jobs: list[Job]
    next: str | None


@dataclass(frozen=True, slots=True)
class BatchFilter:
    """Which batches a list shows; None and empty mean any. ``text`` is a part of the name."""

    states: frozenset[State] = frozenset()
    org_id: str | None = None
    submitted_by: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Part of a list; ``next`` is the cursor of the part after it."""

    batches: list[Batch]
    next: str | None


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Which groups a list shows; None means any."""

    org_id: str | None = None
    app_version_id: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Part of a list; ``next`` is the cursor of the part after it."""

    groups: list[GroupView]
    next: str | None


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Which users a list shows; None and empty mean any. ``text`` is a part of the name."""

    role: Role | None = None
    org_id: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Which tokens a list shows; None and empty mean any. ``text`` is a part of the name."""

    scope: TokenScope | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices a list shows; None and empty mean any. ``text`` is a part of the name."""

    target: str | None = None
    states: frozenset[SlotState] = frozenset()
    worker: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class WorkerFilter:
    """Which workers a list shows; None means any. ``target`` is one that they serve."""

    host: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class LimitFilter:
    """Which limits a list shows; None means any."""

    scope: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which changes a list shows; None means any. Instants are POSIX seconds, the first included
    and the last not."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class NameFilter:
    """Which of what orgs name a list shows, say templates; ``text`` is a part of the name."""

    org_id: str | None = None
    text: str = ""


def checked_limit(limit: int, what: str) -> int:
    """How long a page shall be. Raises ``InvalidRequest`` if that is no good length."""
    if not 1 <= limit <= 1000:
        raise InvalidRequest(f"a page has between 1 and 1000 {what}")
    return limit
