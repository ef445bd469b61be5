"""A server is asked for what the services of this machine are asked for."""

from __future__ import annotations

import inspect

import pytest

from runyard import AsyncRunyard, Runyard
from runyard.client import job_asks, other_asks, requests, template_asks
from runyard.service.accounts import Accounts
from runyard.service.jobs import Jobs
from runyard.service.schedules import Schedules
from runyard.service.templates import Templates
from runyard.service.yardmaster import Yardmaster

PAIRS = [
    (requests.JobRequests, Jobs, job_asks.JobAsks),
    (requests.YardRequests, Yardmaster, other_asks.YardAsks),
    (requests.AccountRequests, Accounts, other_asks.AccountAsks),
    (requests.TemplateRequests, Templates, template_asks.TemplateAsks),
    (requests.ScheduleRequests, Schedules, template_asks.ScheduleAsks),
]


# Arguments that only runs in the foreground, and only pages, have a use for.
OF_OTHERS = {"pool", "is_new"}


def parameters(of: type, name: str) -> list[tuple[str, object, object]]:
    found = inspect.signature(getattr(of, name)).parameters.values()
    return [
        (one.name, one.kind, None if callable(one.default) else one.default)
        for one in found
        if one.name != "self"
    ]


@pytest.mark.parametrize(("protocol", "service", "asks"), PAIRS)
def test_both_have_the_methods_of_the_protocol(protocol: type, service: type, asks: type) -> None:
    names = [name for name, _ in inspect.getmembers(protocol, inspect.isfunction) if name[0] != "_"]
    assert names
    for name in names:
        assert parameters(asks, name) == parameters(protocol, name), name
        theirs = parameters(service, name)
        asked = [one for one in theirs if one[0] not in OF_OTHERS]
        assert asked == parameters(protocol, name), name


def test_both_clients_have_the_same_methods() -> None:
    ours = {name for name, _ in inspect.getmembers(AsyncRunyard, inspect.isfunction)}
    theirs = {name for name, _ in inspect.getmembers(Runyard, inspect.isfunction)}
    public = {name for name in theirs if not name.startswith("_")}

    assert public == {name for name in ours if not name.startswith("_")}
    for name in public:
        assert parameters(AsyncRunyard, name) == parameters(Runyard, name), name
