"""A job: what to run (``JobSpec``) and what became of it (``Job``, ``Attempt``)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from runyard.clock import isoformat


class Kind(StrEnum):
    """How a job's command is to be read."""

    COMMAND = "command"  # a list of arguments, started without a shell
    SHELL = "shell"  # one string, given to /bin/sh -c
    PYTHON = "python"  # a snippet, run in a warm Python process of its own
    TEST = "test"  # a test spec's path, run by its target's test_command


class State(StrEnum):
    """Where a job is in its life; ``domain.lifecycle`` holds the moves between these."""

    BLOCKED = "blocked"  # dependencies are unfinished; left by unblock, skip, cancel
    DELAYED = "delayed"  # not before a time; left by promote, cancel
    QUEUED = "queued"  # may start now; left by claim, cancel
    RUNNING = "running"  # a worker holds its lease; left by finish, retry, lost, release
    PASSED = "passed"  # final
    FAILED = "failed"  # final, with a reason; reopened by hand
    CANCELLED = "cancelled"  # final; reopened by hand
    SKIPPED = "skipped"  # final: a dependency did not pass; reopened with it


FINAL = frozenset({State.PASSED, State.FAILED, State.CANCELLED, State.SKIPPED})
WAITING = frozenset({State.BLOCKED, State.DELAYED, State.QUEUED})


class Reason(StrEnum):
    """Why a job failed."""

    EXIT_CODE = "exit_code"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    SILENT = "silent"
    LOST = "lost"
    SETUP = "setup"
    NOT_STARTED = "not_started"


class AttemptState(StrEnum):
    """How one execution stands; the last two do not count against the job."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  # its worker vanished
    RELEASED = "released"  # its worker shut down and gave the job back


PRIORITY_NAMES = {"low": 2, "normal": 5, "high": 8, "critical": 10}


def parse_priority(value: object) -> object:
    """A priority name as its number; anything else unchanged for the field's own check."""
    if isinstance(value, str):
        if value.lower() in PRIORITY_NAMES:
            return PRIORITY_NAMES[value.lower()]
        if not value.isdigit():
            names = ", ".join(PRIORITY_NAMES)
            raise ValueError(f"priority is a whole number from 0 to 10 or one of {names}")
    return value


def _parse_instant(value: object) -> object:
    """ISO 8601 text or a datetime as POSIX seconds; a time without zone is UTC."""
    if isinstance(value, str):
        text = value[:80]
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"{text!r} is no instant; one is written as 2030-01-31T12:00:00Z"
            ) from None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return value


def _is_unicode(text: str) -> bool:
    """False for bytes that Python smuggled into text, as it does with file names; JSON, in which
    jobs are stored, has no place for them."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


DEEPEST = 100  # levels of a payload; what reads it again knows no more than 200


def _check_json(value: object) -> None:
    """Refuse what cannot be written as JSON, or could not be read from it again: one such job
    would break every list it is in."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the payload is not JSON: {error}") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [child for one in level for child in _children(one)]
    if any(isinstance(one, dict | list | tuple) for one in level):
        raise ValueError(f"the payload is nested deeper than {DEEPEST} levels")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


Priority = Annotated[int, BeforeValidator(parse_priority), Field(ge=0, le=10)]
Seconds = Annotated[float, Field(gt=0, le=10 * 365 * 86400, allow_inf_nan=False)]
_LAST_INSTANT = 253_402_300_799  # the end of the year 9999, the last that ISO 8601 can name
Instant = Annotated[
    float, BeforeValidator(_parse_instant), Field(ge=0, le=_LAST_INSTANT, allow_inf_nan=False)
]

# NUL ends every string handed to exec, and PostgreSQL takes none; POSIX forbids "=" in a
# variable's name.
_NO_NUL = r"^[^\x00]*$"
Text = Annotated[str, Field(pattern=_NO_NUL)]
ShortText = Annotated[str, Field(min_length=1, max_length=300, pattern=_NO_NUL)]
MOST_AT_ONCE = 2**31 - 1  # what the databases' whole numbers hold
EnvName = Annotated[str, Field(pattern=r"^[^=\x00]+$")]


# Other names of fields, in what people write.
ALIASES = {"working_dir": "cwd", "queue": "target"}


def canonical(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a spec, each under its own name; raises ``ValueError`` if one has two."""
    for alias, name in ALIASES.items():
        if alias in fields and name in fields:
            raise ValueError(f"{alias} and {name} mean the same: give one of them")
    return {ALIASES.get(name, name): value for name, value in fields.items()}


class JobSpec(BaseModel):
    """What a user asks for. Immutable; every field has a default but the command.

    ``timeout`` and ``silent_timeout`` are seconds of wall time; ``retry_delay`` is the first
    back-off in seconds, doubled for each further failure. ``depends_on`` holds names of jobs of
    the same batch or ids of jobs that exist. At most ``limit`` jobs of one ``limit_key`` run at
    once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | list[str]
    kind: Kind = Kind.COMMAND
    name: Text = Field(default="", max_length=300)
    cwd: Text | None = None
    env: dict[EnvName, Text] = Field(default_factory=dict)
    org_id: ShortText = "default"
    app_version_id: ShortText | None = None
    target: ShortText = "local"
    priority: Priority = 5
    timeout: Seconds | None = None
    silent_timeout: Seconds | None = None
    max_attempts: int = Field(default=1, ge=1, le=1000)
    retry_on: list[int] | None = None
    retry_delay: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = 1.0
    run_after: Instant | None = None
    idempotency_key: ShortText | None = None
    limit_key: ShortText | None = None
    limit: int | None = Field(default=None, ge=1, le=MOST_AT_ONCE)
    labels: dict[ShortText, Text] = Field(default_factory=dict)
    payload: Any = None
    depends_on: list[ShortText] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _infer_kind(cls, data: Any) -> Any:
        """A bare string is a shell line, a list is an argument vector, unless told otherwise."""
        if not isinstance(data, dict):
            return data
        if data.keys() & ALIASES.keys():
            data = canonical(data)
        if "kind" not in data and isinstance(data.get("command"), str):
            return {**data, "kind": Kind.SHELL}
        return data

    @field_validator("command")
    @classmethod
    def _no_empty_command(cls, value: str | list[str]) -> str | list[str]:
        words = [value] if isinstance(value, str) else value
        if not words or not words[0].strip():
            raise ValueError("the command is empty")
        if any("\0" in word for word in words):
            raise ValueError("the command holds a NUL character")
        if not all(map(_is_unicode, words)):
            raise ValueError("the command is not valid Unicode text")
        return value

    @field_validator("payload")
    @classmethod
    def _payload_can_be_read_again(cls, value: Any) -> Any:
        if value is not None:
            _check_json(value)
        return value

    @field_validator("depends_on")
    @classmethod
    def _unique_dependencies(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))

    @model_validator(mode="after")
    def _command_fits_kind(self) -> JobSpec:
        if (self.kind is Kind.COMMAND) != isinstance(self.command, list):
            wanted = "a list of arguments" if self.kind is Kind.COMMAND else "one string"
            raise ValueError(f"a job of kind {self.kind} takes its command as {wanted}")
        if self.limit is not None and self.limit_key is None:
            raise ValueError("a limit needs a limit_key: say what is limited")
        return self

    @property
    def history_key(self) -> str:
        """What it has in common with earlier runs of the same: a test's spec, else a digest of
        what is run."""
        if self.kind is Kind.TEST and isinstance(self.command, str):
            return self.command
        what = self.command if isinstance(self.command, str) else "\0".join(self.command)
        return hashlib.blake2b(f"{self.kind}\0{what}".encode(), digest_size=12).hexdigest()

    @property
    def title(self) -> str:
        """The name, or else the beginning of the command."""
        return title_of(self.name, self.command)


def title_of(name: str, command: str | list[str]) -> str:
    """What a job is called: its name, or else the beginning of its command."""
    if name:
        return name
    text = command if isinstance(command, str) else " ".join(command)
    return text.strip().splitlines()[0][:80]


# Read, too, so that who gets a job as JSON has it as we do.
Timestamp = Annotated[
    float | None,
    BeforeValidator(_parse_instant),
    PlainSerializer(isoformat, when_used="json"),
]


class Attempt(BaseModel):
    """One execution of a job, the ``number``-th. Times are POSIX seconds; ``setup_seconds`` is the
    part of them that preparing the slot took, None if there was nothing to prepare;
    ``max_rss_bytes`` is of the whole tree's largest process. ``fence`` names its log files."""

    number: int
    fence: int = Field(default=0, exclude=True)
    state: AttemptState
    reason: Reason | None = None
    exit_code: int | None = None
    signal: int | None = None
    worker: str | None = None
    slot: str | None = None
    started_at: Timestamp = None
    finished_at: Timestamp = None
    setup_seconds: float | None = None
    cpu_seconds: float | None = None
    max_rss_bytes: int | None = None


class Job(BaseModel):
    """A job as users see it. Times are POSIX seconds in Python and ISO 8601 in JSON."""

    id: str
    name: str
    kind: Kind
    command: str | list[str]
    state: State
    reason: Reason | None = None
    exit_code: int | None = None
    cwd: str | None = None
    org_id: str
    submitted_by: str = ""
    app_version_id: str | None = None
    target: str
    priority: int
    batch_id: str | None = None
    depends_on: list[str] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)
    payload: Any = None
    attempts: list[Attempt] = Field(default_factory=list)
    submitted_at: Timestamp = None
    started_at: Timestamp = None
    finished_at: Timestamp = None

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.state in FINAL

    @property
    def seconds(self) -> float | None:
        """Wall seconds from the first start to the end, as far as both are known."""
        if self.started_at is None or self.finished_at is None:
            return None
        return math.fsum((self.finished_at, -self.started_at))
