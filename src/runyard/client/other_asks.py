"""The requests about the yard and accounts, as flows; see ``client.requests``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from runyard.client.asking import Asker
from runyard.client.effects import Answer, Flow, Send
from runyard.client.job_asks import given, read_job
from runyard.clock import isoformat
from runyard.domain.ids import no_such
from runyard.domain.job import Job
from runyard.domain.listing import AuditFilter, GroupFilter, UserFilter, cursor_of
from runyard.domain.user import ApiToken, AuditEntry, Role, TokenScope, User, checked_name
from runyard.domain.yard import DeviceView, GroupView, LimitView, PauseView, TargetView, WorkerView
from runyard.policy.fits import Scope

Model = TypeVar("Model", bound=BaseModel)

PAGE = 1000  # what a server gives at once of a list that is asked for as a whole


def segment(name: str) -> str:
    """A name in an address."""
    return quote(name, safe="")


def nothing(_: Answer) -> None:
    """An answer that says no more than that it is done."""
    return


def one(kind: type[Model], answer: Answer) -> Model:
    """An answer that is one thing."""
    return kind.model_validate_json(answer.body)


def many(kind: type[Model], name: str, answer: Answer) -> list[Model]:
    """An answer that is a list."""
    return [kind.model_validate(item) for item in json.loads(answer.body)[name]]


def every(asker: Asker, path: str, kind: type[Model], **params: Any) -> Flow[list[Model]]:
    """All of a list, a page at a time; it is called as the end of its path is."""
    found: list[Model] = []
    cursor = None
    while True:
        question = Send("GET", path, given(limit=PAGE, cursor=cursor, **params))
        answer = yield from asker.ask(question, lambda answer: answer)
        found += many(kind, path.rpartition("/")[2], answer)
        cursor = json.loads(answer.body)["next"]
        if cursor is None:
            return found


def _changed(answer: Answer) -> int:
    return int(json.loads(answer.body)["changed"])


class YardAsks:
    """Asks about groups, devices, pauses and limits."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def groups(self, limit: int = 50, wanted: GroupFilter | None = None) -> Flow[list[GroupView]]:
        only = asdict(wanted) if wanted else {}
        question = Send("GET", "/groups", given(limit=limit, **only))
        return self._asker.ask(question, lambda a: many(GroupView, "groups", a))

    def devices(self) -> Flow[list[DeviceView]]:
        return every(self._asker, "/devices", DeviceView)

    def workers(self) -> Flow[list[WorkerView]]:
        return every(self._asker, "/workers", WorkerView)

    def targets(self) -> Flow[list[TargetView]]:
        return every(self._asker, "/targets", TargetView)

    def drain(self, device: str) -> Flow[int]:
        return self._asker.ask(Send("POST", f"/devices/{segment(device)}/drain"), _changed)

    def resume_device(self, device: str) -> Flow[int]:
        return self._asker.ask(Send("POST", f"/devices/{segment(device)}/resume"), _changed)

    def pauses(self) -> Flow[list[PauseView]]:
        return every(self._asker, "/pauses", PauseView)

    def pause(self, scope: Scope, name: str) -> Flow[bool]:
        question = Send("POST", "/pauses", json={"scope": scope.value, "name": name})
        return self._asker.ask(question, lambda a: bool(_changed(a)))

    def resume(self, scope: Scope, name: str) -> Flow[bool]:
        question = Send("DELETE", "/pauses", {"scope": scope.value, "name": name})
        return self._asker.ask(question, lambda a: bool(_changed(a)))

    def change_limit(
        self, scope: Scope, name: str, changes: Mapping[str, int | None]
    ) -> Flow[None]:
        body = {"scope": scope.value, "name": name, **changes}
        return self._asker.ask(Send("PUT", "/admin/limits", json=body), nothing)

    def limits(self) -> Flow[list[LimitView]]:
        return every(self._asker, "/admin/limits", LimitView)

    def set_priority(self, job_id: str, priority: int) -> Flow[Job]:
        if not job_id.isalnum():
            raise no_such("job", job_id)
        path = f"/jobs/{segment(job_id)}/priority"
        return self._asker.ask(Send("POST", path, json={"priority": priority}), read_job)

    def cancel_group(self, group: int) -> Flow[list[str]]:
        question = Send("POST", f"/groups/{group}/cancel")
        return self._asker.ask(question, lambda a: list(json.loads(a.body)["cancelled"]))


class AccountAsks:
    """Asks about users and tokens. What makes something anew is not asked twice."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def add(
        self, name: str, role: Role, org_id: str = "default", password: str | None = None
    ) -> Flow[User]:
        who = {"name": checked_name(name), "role": role.value, "org_id": org_id}
        body = {**who, "password": password}
        question = Send("POST", "/users", json=body)
        return self._asker.ask(question, lambda a: one(User, a), is_safe=False)

    def page(
        self, after: str = "", limit: int = 100, wanted: UserFilter | None = None
    ) -> Flow[list[User]]:
        only = wanted or UserFilter()
        params = given(
            cursor=after and cursor_of((after,)),
            limit=limit,
            role=only.role and only.role.value,
            org_id=only.org_id,
            q=only.text,
        )
        return self._asker.ask(Send("GET", "/users", params), lambda a: many(User, "users", a))

    def set_role(self, name: str, role: Role) -> Flow[User]:
        return self._change(name, role=role.value)

    def set_password(self, name: str, password: str, current: str | None = None) -> Flow[User]:
        return self._change(name, password=password, current_password=current)

    def disable(self, name: str) -> Flow[User]:
        return self._change(name, disabled=True)

    def enable(self, name: str) -> Flow[User]:
        return self._change(name, disabled=False)

    def _change(self, name: str, **fields: object) -> Flow[User]:
        question = Send("PATCH", f"/users/{segment(name)}", json=fields)
        return self._asker.ask(question, lambda a: one(User, a), is_safe=False)

    def create_token(
        self, name: str, scope: TokenScope, days: float | None = 90.0, user: str | None = None
    ) -> Flow[tuple[ApiToken, str]]:
        body = {"name": name, "scope": scope.value, "days": days, "user": user}
        question = Send("POST", "/tokens", json=body)
        return self._asker.ask(
            question, lambda a: (one(ApiToken, a), json.loads(a.body)["token"]), is_safe=False
        )

    def tokens(self, user: str | None = None) -> Flow[list[ApiToken]]:
        return every(self._asker, "/tokens", ApiToken, user=user)

    def revoke_token(self, token_id: str) -> Flow[None]:
        question = Send("DELETE", f"/tokens/{segment(token_id)}")
        return self._asker.ask(question, nothing, is_safe=False)

    def audit(
        self, wanted: AuditFilter | None = None, limit: int = 100, before: int | None = None
    ) -> Flow[list[AuditEntry]]:
        only = asdict(wanted or AuditFilter())
        only |= {name: isoformat(only[name]) for name in ("since", "until")}
        params = given(limit=limit, cursor=before, **only)
        return self._asker.ask(
            Send("GET", "/audit", params), lambda a: many(AuditEntry, "entries", a)
        )
