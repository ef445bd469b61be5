"""What each role sees and may change, and how much may wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runyard.config import Home
from runyard.domain.job import Job, JobSpec, State
from runyard.domain.listing import AuditFilter, BatchFilter, JobFilter
from runyard.domain.user import Actor, Role, TokenScope
from runyard.errors import Forbidden, LimitReached, NotFound
from runyard.policy.fits import Scope
from runyard.service.jobs import Jobs
from runyard.service.yardmaster import Yardmaster
from runyard.store import audit
from runyard.store.database import Store

MAX = Actor("max", Role.MEMBER, "acme", user_id=1)
EVE = Actor("eve", Role.MEMBER, "acme", user_id=2)
OTHER = Actor("oli", Role.MEMBER, "other", user_id=3)
VIEWER = Actor("vic", Role.VIEWER, "acme", user_id=4)
READER = Actor("max", Role.MEMBER, "acme", TokenScope.READ, user_id=1)
ADMIN = Actor("ada", Role.ADMIN, "default", user_id=5)
LOCAL = Actor("root")
TRUE = JobSpec(command=["true"])


class House:
    """One store as several people see it."""

    def __init__(self, store: Store, root: Path) -> None:
        self.store = store
        self.home = Home(root).prepare()

    def jobs(self, actor: Actor) -> Jobs:
        return Jobs(self.store, self.home, actor)

    def yard(self, actor: Actor) -> Yardmaster:
        return Yardmaster(self.store, self.home, actor)


@pytest.fixture
def house(store: Store, tmp_path: Path) -> House:
    return House(store, tmp_path / "home")


@pytest.fixture
def job(house: House) -> Job:
    """A job of max's."""
    return house.jobs(MAX).submit(TRUE)


def test_a_job_is_its_submitters_and_of_their_org(job: Job) -> None:
    assert (job.submitted_by, job.org_id) == ("max", "acme")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"name": "unit", "labels": {"os": "linux"}, "payload": [1], "priority": "high"},
        {"app_version_id": "1.2", "target": "emulator", "run_after": 4e9, "cwd": "/"},
        {"kind": "shell", "command": "exit 0", "idempotency_key": "once"},
    ],
)
def test_the_answer_to_a_submit_is_the_job_as_it_is_read(house: House, more: Any) -> None:
    jobs = house.jobs(MAX)
    made = jobs.submit(JobSpec(**{"command": ["true"], **more}))
    assert made == jobs.get(made.id)


def test_whoever_works_on_the_store_chooses_the_org(house: House) -> None:
    assert house.jobs(LOCAL).submit(TRUE).org_id == "default"
    assert house.jobs(ADMIN).submit(JobSpec(command=["true"], org_id="acme")).org_id == "acme"


def test_a_member_submits_for_their_own_org_only(house: House) -> None:
    named = JobSpec(command=["true"], org_id="other")
    with pytest.raises(Forbidden, match="the org acme only"):
        house.jobs(MAX).submit(named)
    with pytest.raises(Forbidden):
        house.jobs(MAX).submit_batch([TRUE, named])


@pytest.mark.parametrize("actor", [MAX, EVE, VIEWER, READER, ADMIN, LOCAL])
def test_the_org_sees_it(house: House, job: Job, actor: Actor) -> None:
    jobs = house.jobs(actor)
    assert jobs.get(job.id).id == job.id
    assert [one.id for one in jobs.page(JobFilter()).jobs] == [job.id]


def test_to_others_it_is_not_there(house: House, job: Job) -> None:
    batch = house.jobs(MAX).submit_batch([TRUE])
    jobs = house.jobs(OTHER)
    assert jobs.page(JobFilter()).jobs == []
    assert jobs.page(JobFilter(org_id="acme")).jobs == []
    assert jobs.batch_page(BatchFilter()).batches == []
    for ask in (
        lambda: jobs.get(job.id),
        lambda: jobs.get(job.id[:4]),
        lambda: jobs.logs(job.id),
        lambda: jobs.events([job.id]),
        lambda: jobs.cancel([job.id]),
        lambda: jobs.retry([job.id]),
        lambda: jobs.wait([job.id], 0),
        lambda: jobs.get_batch(batch.id),
        lambda: jobs.members([batch.id]),
        lambda: jobs.cancel([batch.id]),
        lambda: jobs.page(JobFilter(batch_id=batch.id)),
        lambda: jobs.submit(JobSpec(command=["true"], depends_on=[job.id])),
        lambda: house.yard(OTHER).set_priority(job.id, 9),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_short_id_means_one_of_those_that_are_seen(house: House, job: Job) -> None:
    house.jobs(OTHER).submit(TRUE)
    assert house.jobs(MAX).get(job.id[:6]).id == job.id


@pytest.mark.parametrize("actor", [EVE, VIEWER, READER])
def test_who_may_not_change_it_is_told_so(house: House, job: Job, actor: Actor) -> None:
    for ask in (
        lambda: house.jobs(actor).cancel([job.id]),
        lambda: house.jobs(actor).retry([job.id]),
        lambda: house.yard(actor).set_priority(job.id, 9),
    ):
        with pytest.raises(Forbidden):
            ask()
    assert house.jobs(MAX).get(job.id).state is State.QUEUED


@pytest.mark.parametrize("actor", [VIEWER, READER])
def test_who_may_only_look_submits_nothing(house: House, actor: Actor) -> None:
    with pytest.raises(Forbidden):
        house.jobs(actor).submit(TRUE)
    with pytest.raises(Forbidden):
        house.jobs(actor).submit_batch([TRUE])


@pytest.mark.parametrize("actor", [MAX, ADMIN, LOCAL])
def test_owner_and_admin_may_change_it(house: House, job: Job, actor: Actor) -> None:
    assert house.jobs(actor).cancel([job.id])[0].state is State.CANCELLED


def test_the_yard_is_the_admins(house: House, job: Job) -> None:
    for actor in (MAX, VIEWER):
        yard = house.yard(actor)
        for ask in (
            lambda yard=yard: yard.pause(Scope.ORG, "acme"),
            lambda yard=yard: yard.change_limit(Scope.ORG, "acme", {"running": 1}),
            lambda yard=yard: yard.change_limit(Scope.ORG, "acme", {"waiting": 1}),
            lambda yard=yard: yard.drain("phone"),
        ):
            with pytest.raises(Forbidden):
                ask()
    assert house.yard(ADMIN).pause(Scope.ORG, "acme")


def test_groups_of_others_are_not_shown(house: House, job: Job) -> None:
    assert [group.org_id for group in house.yard(MAX).groups()] == ["acme"]
    assert house.yard(OTHER).groups() == []
    group = house.yard(MAX).groups()[0].id
    with pytest.raises(NotFound):
        house.yard(OTHER).cancel_group(group)
    with pytest.raises(Forbidden):
        house.yard(EVE).cancel_group(group)
    assert house.yard(MAX).cancel_group(group) == [job.id]


# Quotas.


def test_a_quota_refuses_with_the_numbers(house: House) -> None:
    house.yard(ADMIN).change_limit(Scope.USER, "max", {"waiting": 3})
    house.jobs(MAX).submit_batch([TRUE, TRUE])
    with pytest.raises(LimitReached, match=r"max may have 3 jobs waiting: 2 wait, and 2 more"):
        house.jobs(MAX).submit_batch([TRUE, TRUE])
    house.jobs(MAX).submit(TRUE)
    house.jobs(EVE).submit(TRUE)
    assert len(house.jobs(MAX).page(JobFilter()).jobs) == 4


def test_a_quota_of_everybody_is_each_ones_own(house: House) -> None:
    yard = house.yard(ADMIN)
    yard.change_limit(Scope.USER, "*", {"waiting": 1})
    yard.change_limit(Scope.USER, "eve", {"waiting": 2})
    house.jobs(MAX).submit(TRUE)
    with pytest.raises(LimitReached):
        house.jobs(MAX).submit(TRUE)
    house.jobs(EVE).submit_many([TRUE, TRUE])
    yard.change_limit(Scope.USER, "*", {"waiting": None})
    house.jobs(MAX).submit(TRUE)


def test_a_quota_of_an_org_counts_all_of_it(house: House) -> None:
    house.yard(ADMIN).change_limit(Scope.ORG, "acme", {"waiting": 2})
    house.jobs(MAX).submit(TRUE)
    house.jobs(EVE).submit(TRUE)
    with pytest.raises(LimitReached, match="org acme may have 2 jobs waiting"):
        house.jobs(EVE).submit(TRUE)
    house.jobs(OTHER).submit(TRUE)


def test_what_was_submitted_before_is_no_reason_to_refuse_it(house: House) -> None:
    house.yard(ADMIN).change_limit(Scope.USER, "max", {"waiting": 1})
    once = JobSpec(command=["true"], idempotency_key="night")
    first = house.jobs(MAX).submit(once)
    assert house.jobs(MAX).submit(once).id == first.id


def test_every_change_is_on_record(house: House, job: Job) -> None:
    house.jobs(MAX).cancel([job.id])
    house.yard(ADMIN).pause(Scope.ORG, "acme")
    with house.store.read() as tx:
        entries = audit.page(tx, AuditFilter(), 10, None)
    assert [(entry.actor, entry.action, entry.subject) for entry in entries] == [
        ("ada", "pause", "org acme"),
        ("max", "cancel", job.id),
        ("max", "submit", job.id),
    ]
