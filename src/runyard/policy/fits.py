"""Whether jobs may start at all: pauses, and limits of what runs at once.

Asked before the choice, so that what a rule holds back hides nothing behind it; the same answer
decides and explains.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Scope(StrEnum):
    """What a limit or a pause is about."""

    USER = "user"
    ORG = "org"
    TARGET = "target"
    KEY = "key"  # of all orgs
    ORG_KEY = "org-key"  # of one, see ``org_key``
    GROUP = "group"


LIMITABLE = tuple(scope for scope in Scope if scope is not Scope.GROUP)

Subject = tuple[Scope, str]  # a scope, and the name of one in it


class Placed(Protocol):
    """What rules ask of a queue."""

    @property
    def group_id(self) -> int: ...
    @property
    def submitted_by(self) -> str: ...
    @property
    def org_id(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def limit_key(self) -> str: ...


def org_key(org_id: str, limit_key: str) -> str:
    """The name of an org's own key. Its jobs may limit that, and no other org's."""
    return f"{org_id.replace('%', '%25').replace('/', '%2F')}/{limit_key}"


def limited_by(queue: Placed) -> list[Subject]:
    """Whose limits a queue's jobs count against."""
    return [
        (Scope.USER, queue.submitted_by),
        (Scope.ORG, queue.org_id),
        (Scope.TARGET, queue.target),
        (Scope.KEY, queue.limit_key),
        (Scope.ORG_KEY, org_key(queue.org_id, queue.limit_key)),
    ]


def paused_by(queue: Placed) -> list[Subject]:
    """Whose pauses hold a queue back."""
    return [
        (Scope.ORG, queue.org_id),
        (Scope.TARGET, queue.target),
        (Scope.GROUP, str(queue.group_id)),
    ]


@dataclass(frozen=True, slots=True)
class Blocker:
    """A rule that holds a queue back: a pause ``since`` an instant, or a full limit."""

    subject: Subject
    since: float | None = None
    maximum: int | None = None
    running: int = 0


@dataclass(slots=True)
class Rules:
    """All pauses and limits, and how much of each limit is used."""

    paused: dict[Subject, float] = field(default_factory=dict)  # since when
    maximum: dict[Subject, int] = field(default_factory=dict)
    running: Counter[Subject] = field(default_factory=Counter)

    def blockers(self, queue: Placed) -> list[Blocker]:
        """Why nothing of a queue may start; empty if something may."""
        found = [
            Blocker(subject, since=self.paused[subject])
            for subject in paused_by(queue)
            if subject in self.paused
        ]
        for subject in limited_by(queue):
            maximum = self.maximum.get(subject)
            if maximum is not None and self.running[subject] >= maximum:
                found.append(Blocker(subject, maximum=maximum, running=self.running[subject]))
        return found

    def allow(self, queue: Placed) -> bool:
        """Whether a job of a queue may start."""
        # Asked of each queue at each choice, and mostly there are no rules.
        return not (self.paused or self.maximum) or not self.blockers(queue)

    def count(self, queue: Placed) -> None:
        """One more of its jobs runs."""
        self.running.update(limited_by(queue))

    def release(self, queue: Placed) -> None:
        """One of its jobs runs no more."""
        self.running.subtract(limited_by(queue))

    def copy(self) -> Rules:
        """The same, to be counted on without consequences."""
        return Rules(self.paused, self.maximum, Counter(self.running))
