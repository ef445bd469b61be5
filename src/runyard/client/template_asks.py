"""The requests about templates and schedules, as flows; see ``client.requests``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runyard.client.asking import Asker
from runyard.client.effects import Answer, Flow, Send
from runyard.client.job_asks import fresh_key, given, read_batch
from runyard.client.other_asks import many, nothing, one, segment
from runyard.domain.batch import Batch
from runyard.domain.listing import NameFilter, cursor_of
from runyard.domain.parameters import Value
from runyard.domain.template import Template, checked_name
from runyard.domain.timetable import Missed, Overlap, Schedule


class TemplateAsks:
    """Asks about templates."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def save(
        self,
        name: str,
        document: Any,
        *,
        org_id: str | None = None,
        directory: str | None = None,
    ) -> Flow[Template]:
        body = {"document": document, "org_id": org_id, "directory": directory}
        question = Send("PUT", _template(name), json=body)
        return self._asker.ask(question, lambda a: one(Template, a))

    def get(self, name: str, org_id: str | None = None) -> Flow[Template]:
        question = Send("GET", _template(name), given(org_id=org_id))
        return self._asker.ask(question, lambda a: one(Template, a))

    def page(
        self,
        limit: int = 100,
        after: tuple[str, str] | None = None,
        wanted: NameFilter | None = None,
    ) -> Flow[list[Template]]:
        params = _page(limit, after, wanted)
        question = Send("GET", "/templates", params)
        return self._asker.ask(question, lambda a: many(Template, "templates", a))

    def remove(self, name: str, org_id: str | None = None) -> Flow[None]:
        question = Send("DELETE", _template(name), given(org_id=org_id))
        return self._asker.ask(question, nothing, is_safe=False)

    def run(
        self,
        name: str,
        parameters: Mapping[str, Value],
        *,
        org_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Flow[Batch]:
        key = idempotency_key or fresh_key()
        body = {"parameters": dict(parameters), "org_id": org_id, "idempotency_key": key}
        question = Send("POST", f"{_template(name)}/run", json=body)
        return self._asker.ask(question, read_batch)


class ScheduleAsks:
    """Asks about schedules."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def add(
        self,
        name: str,
        template: str,
        cron: str,
        *,
        timezone: str = "UTC",
        parameters: Mapping[str, Value] | None = None,
        missed: Missed | str = Missed.ONCE,
        overlap: Overlap | str = Overlap.SKIP,
        org_id: str | None = None,
    ) -> Flow[Schedule]:
        body = {
            "name": name,
            "template": template,
            "cron": cron,
            "timezone": timezone,
            "parameters": dict(parameters or {}),
            "missed": str(missed),
            "overlap": str(overlap),
            "org_id": org_id,
        }
        question = Send("POST", "/schedules", json=body)
        return self._asker.ask(question, _read_schedule, is_safe=False)

    def get(self, name: str, org_id: str | None = None) -> Flow[Schedule]:
        question = Send("GET", _schedule(name), given(org_id=org_id))
        return self._asker.ask(question, _read_schedule)

    def page(
        self,
        limit: int = 100,
        after: tuple[str, str] | None = None,
        wanted: NameFilter | None = None,
    ) -> Flow[list[Schedule]]:
        params = _page(limit, after, wanted)
        question = Send("GET", "/schedules", params)
        return self._asker.ask(question, lambda a: many(Schedule, "schedules", a))

    def upcoming(
        self, name: str, count: int = 5, org_id: str | None = None
    ) -> Flow[list[datetime]]:
        params = given(count=count, org_id=org_id)
        question = Send("GET", f"{_schedule(name)}/upcoming", params)
        return self._asker.ask(question, _read_times)

    def pause(self, name: str, org_id: str | None = None) -> Flow[Schedule]:
        question = Send("POST", f"{_schedule(name)}/pause", given(org_id=org_id))
        return self._asker.ask(question, _read_schedule)

    def resume(self, name: str, org_id: str | None = None) -> Flow[Schedule]:
        question = Send("POST", f"{_schedule(name)}/resume", given(org_id=org_id))
        return self._asker.ask(question, _read_schedule)

    def remove(self, name: str, org_id: str | None = None) -> Flow[None]:
        question = Send("DELETE", _schedule(name), given(org_id=org_id))
        return self._asker.ask(question, nothing, is_safe=False)


def _page(limit: int, after: tuple[str, str] | None, wanted: NameFilter | None) -> dict[str, Any]:
    only = {"org_id": wanted.org_id, "q": wanted.text} if wanted else {}
    return given(limit=limit, cursor=after and cursor_of(after), **only)


def _template(name: str) -> str:
    return f"/templates/{segment(checked_name(name, 'template'))}"


def _schedule(name: str) -> str:
    return f"/schedules/{segment(checked_name(name, 'schedule'))}"


def _read_schedule(answer: Answer) -> Schedule:
    return one(Schedule, answer)


def _read_times(answer: Answer) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in json.loads(answer.body)["times"]]
