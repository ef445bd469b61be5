"""The requests about jobs and batches, as flows; the methods of ``requests.JobRequests``."""

from __future__ import annotations

import base64
import itertools
import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json, to_jsonable_python

from runyard.client.asking import WAITING_PATIENCE, Asker
from runyard.client.effects import Answer, Flow, Pause, Send
from runyard.client.streams import Message, listen
from runyard.domain.batch import MOST_JOBS, MOST_TOGETHER, Batch
from runyard.domain.event import Event
from runyard.domain.explanation import Explanation
from runyard.domain.ids import LENGTH, is_batch_id, no_such
from runyard.domain.job import Job, JobSpec
from runyard.domain.listing import BatchFilter, BatchPage, JobFilter, Page, checked_limit, number_of
from runyard.domain.yard import UserStats
from runyard.errors import InvalidRequest, WaitTimeout
from runyard.service.drafts import Draft

LOOK_SECONDS = 25.0  # for which one request waits for the end of jobs
PIECE = 1 << 20  # bytes of a log that are asked for together with the other stream's
_JOB = re.compile("[0-9a-z]{1,26}")
_BATCH = re.compile("b-[0-9a-z]{0,26}")


class JobAsks:
    """Asks about jobs."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    # Submit. A key of idempotency, drawn where none is given, makes it safe to ask again.

    def submit(self, spec: JobSpec) -> Flow[Job]:
        key = spec.idempotency_key or fresh_key()
        body = {**spec.model_dump(mode="json", exclude_unset=True), "idempotency_key": key}
        return self._asker.ask(Send("POST", "/jobs", json=body), read_job)

    def submit_many(
        self, jobs: Iterable[Draft], *, idempotency_key: str | None = None
    ) -> Flow[list[Job]]:
        body = _drafts(jobs, MOST_TOGETHER, "at once that are no batch")
        headers = {"Idempotency-Key": idempotency_key or fresh_key()}
        question = Send("POST", "/jobs", json=body, headers=headers, seconds=300)
        return self._asker.ask(question, _read_jobs)

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
    ) -> Flow[Batch]:
        more = given(
            matrix=to_jsonable_python(matrix),
            exclude=to_jsonable_python(exclude),
            name=name,
            description=description,
            org_id=org_id,
            idempotency_key=idempotency_key or fresh_key(),
        )
        body = {"jobs": _drafts(jobs, MOST_JOBS, "in one batch"), **more}
        return self._asker.ask(Send("POST", "/job-batches", json=body, seconds=300), read_batch)

    # Look.

    def get(self, job_id: str) -> Flow[Job]:
        return self._asker.ask(Send("GET", _job(job_id)), read_job)

    def get_batch(self, batch_id: str) -> Flow[Batch]:
        return self._asker.ask(Send("GET", _batch(batch_id), {"limit": 1}), read_batch)

    def full_ids(self, prefixes: Sequence[str]) -> Flow[list[str]]:
        found = []
        for prefix in prefixes:
            found.append((yield from self.get(prefix)).id)  # noqa: PERF401 - no list may yield
        return found

    def members(self, ids: Sequence[str]) -> Flow[list[Job]]:
        return self._asker.ask(_several("members", ids), _read_jobs)

    def page(self, wanted: JobFilter, limit: int = 50, cursor: str | None = None) -> Flow[Page]:
        labels = [
            key if value is None else f"{key}={value}" for key, value in wanted.labels.items()
        ]
        params = given(
            state=sorted(wanted.states),
            batch_id=wanted.batch_id and _known_batch(wanted.batch_id),
            org_id=wanted.org_id,
            app_version_id=wanted.app_version_id,
            target=wanted.target,
            submitted_by=wanted.submitted_by,
            label=labels,
            q=wanted.text,
            limit=checked_limit(limit, "jobs"),
            cursor=_known_cursor(cursor),
        )
        return self._asker.ask(Send("GET", "/jobs", params), _read_page)

    def batch_page(
        self, wanted: BatchFilter, limit: int = 50, cursor: str | None = None
    ) -> Flow[BatchPage]:
        params = given(
            state=sorted(wanted.states),
            org_id=wanted.org_id,
            submitted_by=wanted.submitted_by,
            q=wanted.text,
            limit=checked_limit(limit, "batches"),
            cursor=_known_cursor(cursor),
        )
        return self._asker.ask(Send("GET", "/job-batches", params), _read_batches)

    def stats(self) -> Flow[list[UserStats]]:
        found: list[UserStats] = []
        cursor = None
        while True:
            question = Send("GET", "/jobs/stats", given(limit=1000, cursor=cursor))
            page = yield from self._asker.ask(question, lambda answer: from_json(answer.body))
            found += map(UserStats.model_validate, page["users"])
            cursor = page["next"]
            if cursor is None:
                return found

    def events(self, ids: Sequence[str]) -> Flow[list[Event]]:
        return self._asker.ask(_several("history", ids), _read_events)

    def explain(self, job_id: str) -> Flow[Explanation]:
        question = Send("GET", _job(job_id, "/explain"))
        return self._asker.ask(question, lambda a: Explanation.model_validate_json(a.body))

    # Wait.

    def wait(
        self,
        ids: Sequence[str],
        timeout: float | None = None,
        idle: Callable[[], None] = lambda: None,
    ) -> Flow[list[Job]]:
        deadline = None if timeout is None else time.monotonic() + timeout
        ids = yield from self._whole(ids)
        while True:
            now = time.monotonic()
            room = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - now)
            question = _several("wait", ids, seconds=max(room, 0.0))
            total, left = yield from self._asker.ask(
                question, _read_waited, patience=WAITING_PATIENCE
            )
            if not left:
                return (yield from self.members(ids))
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(f"{left} of {total} jobs are not finished yet")
            if time.monotonic() - now < min(room, 1.0):
                yield Pause(0.2)  # it is about to stop, and lets nobody wait any more

    def _whole(self, ids: Sequence[str]) -> Flow[list[str]]:
        """Whole ids: another job may soon begin with the same prefix."""
        found = []
        for prefix in ids:
            if is_batch_id(prefix):
                is_whole = len(prefix) == LENGTH + 2
                found.append(prefix if is_whole else (yield from self.get_batch(prefix)).id)
            else:
                is_whole = len(prefix) == LENGTH
                found.append(prefix if is_whole else (yield from self.get(prefix)).id)
        return found

    # Change.

    def cancel(self, ids: Sequence[str]) -> Flow[list[Job]]:
        return self._asker.ask(_several("cancel", ids), _read_jobs)

    def retry(self, ids: Sequence[str]) -> Flow[list[Job]]:
        return self._asker.ask(_several("retry", ids), _read_jobs, is_safe=False)

    def complete(self, ids: Sequence[str]) -> Flow[list[Job]]:
        return self._asker.ask(_several("force-complete", ids), _read_jobs, is_safe=False)

    def purge(self, job_id: str) -> Flow[None]:
        question = Send("POST", _job(job_id, "/purge"))
        return self._asker.ask(question, lambda _: None, is_safe=False)

    def purge_batch(self, batch_id: str) -> Flow[None]:
        question = Send("DELETE", _batch(batch_id), seconds=300)
        return self._asker.ask(question, lambda _: None, is_safe=False)

    # Logs.

    def logs(
        self, job_id: str, attempt: int | None = None, step: str = ""
    ) -> Flow[tuple[bytes, bytes]]:
        params = given(attempt=attempt, step=step)
        question = Send("GET", _job(job_id, "/logs"), {**params, "limit": PIECE})
        found = yield from self._asker.ask(question, lambda answer: json.loads(answer.body))
        both = []
        for stream in ("stdout", "stderr"):
            text: str = found[stream]
            if "\N{REPLACEMENT CHARACTER}" in text or found["next"][stream] < found["size"][stream]:
                whole = Send("GET", _job(job_id, f"/logs/{stream}"), params)
                both.append((yield from self._asker.ask(whole, lambda answer: answer.body)))
            else:
                both.append(text.encode())
        return both[0], both[1]

    def tail(self, job: Job, stream: str, most: int) -> Flow[bytes]:
        question = Send("GET", f"/jobs/{job.id}/logs/{stream}", {"tail": most})
        return self._asker.ask(question, lambda answer: answer.body)

    def follow(self, job_id: str) -> Flow[None]:
        """Emits pieces of ``stdout`` and ``stderr``."""
        question = Send("GET", _job(job_id, "/logs"), {"follow": 1})
        return listen(self._asker, question, Output())

    def watch(self, batch_id: str, after: int) -> Flow[None]:
        """Emits the events of a batch behind the one of that number, each once, without end; and
        None whenever nothing came for a while, or the server was away."""
        question = Send("GET", "/events", {"batch_id": batch_id})
        return listen(self._asker, question, News(), str(after))


class Output:
    """Reads the stream of a job's output."""

    is_over = False

    def take(self, message: Message | None) -> list[tuple[str, bytes]]:
        if message is None:
            return []
        if message.event == "end":
            self.is_over = True
            return []
        found = json.loads(message.data)
        exact = found.get("base64")
        return [(message.event, base64.b64decode(exact) if exact else found["text"].encode())]


class News:
    """Reads the stream of events."""

    is_over = False

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def take(self, message: Message | None) -> list[Event | None]:
        if message is None:
            return [None]
        event = Event.model_validate_json(message.data)
        is_new = event.seq not in self._seen  # after an interruption some come twice
        self._seen.add(event.seq)
        return [event] if is_new else []


# What goes out.


def fresh_key() -> str:
    """A key of idempotency that nobody else has."""
    return f"once-{secrets.token_hex(16)}"


def given(**fields: Any) -> dict[str, Any]:
    """Those that say anything."""
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def _drafts(jobs: Iterable[Draft], most: int, how: str) -> list[dict[str, Any]]:
    found = [_draft(job) for job in itertools.islice(jobs, most + 1)]
    if len(found) > most:
        raise InvalidRequest(f"a server takes at most {most} jobs {how}: submit them as several")
    return found


def _draft(job: Draft) -> dict[str, Any]:
    if isinstance(job, JobSpec):
        return job.model_dump(mode="json", exclude_unset=True)
    found: dict[str, Any] = to_jsonable_python(dict(job))
    return found


def _job(job_id: str, rest: str = "") -> str:
    if not _JOB.fullmatch(job_id):
        raise no_such("job", job_id)
    return f"/jobs/{job_id}{rest}"


def _batch(batch_id: str) -> str:
    return f"/job-batches/{_known_batch(batch_id)}"


def _known_cursor(cursor: str | None) -> str | None:
    if cursor is not None:
        number_of(cursor)
    return cursor


def _known_batch(batch_id: str) -> str:
    if not _BATCH.fullmatch(batch_id):
        raise no_such("batch", batch_id)
    return batch_id


def _several(what: str, ids: Sequence[str], **more: Any) -> Send:
    body = {"ids": list(ids), **more}
    return Send("POST", f"/jobs/{what}", json=body, seconds=120)


# What comes back.


def read_job(answer: Answer) -> Job:
    """One job."""
    return Job.model_validate_json(answer.body)


def read_batch(answer: Answer) -> Batch:
    """One batch."""
    return Batch.model_validate_json(answer.body)


def _read_jobs(answer: Answer) -> list[Job]:
    return _JOBS.validate_python(from_json(answer.body)["jobs"])


def _read_page(answer: Answer) -> Page:
    return Page(_read_jobs(answer), from_json(answer.body)["next"])


def _read_batches(answer: Answer) -> BatchPage:
    found = from_json(answer.body)
    return BatchPage(_BATCHES.validate_python(found["batches"]), found["next"])


def _read_events(answer: Answer) -> list[Event]:
    return _EVENTS.validate_python(from_json(answer.body)["events"])


def _read_waited(answer: Answer) -> tuple[int, int]:
    found = json.loads(answer.body)
    return found["total"], found["left"]


_JOBS = TypeAdapter(list[Job])
_BATCHES = TypeAdapter(list[Batch])
_EVENTS = TypeAdapter(list[Event])
