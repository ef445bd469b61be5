"""Schedules: what is asked of them, and what they run, in a time that the tests move."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runyard.clock import ManualClock
from runyard.config import Home
from runyard.domain.batch import Batch
from runyard.domain.job import Job
from runyard.domain.listing import AuditFilter, JobFilter
from runyard.domain.timetable import MOST_AT_ONCE, Schedule
from runyard.domain.user import Actor, Role, TokenScope
from runyard.errors import Conflict, Forbidden, InvalidRequest, NotFound, RunyardError
from runyard.execution.bounds import Bounds
from runyard.execution.workdirs import Workdirs
from runyard.service.accounts import Accounts
from runyard.service.jobs import Jobs
from runyard.service.schedules import Schedules
from runyard.service.templates import Templates
from runyard.service.timekeeper import Timekeeper
from runyard.store import audit, batches, quotas, users, views
from runyard.store.database import Store
from tests.store.support import in_parallel

LOCAL = Actor("root")
BEGIN = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def clock() -> ManualClock:
    """Noon."""
    return ManualClock(BEGIN)


class House:
    """One store, its schedules and the timekeepers of several workers."""

    def __init__(self, store: Store, root: Path, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.home = Home(root).prepare()
        self.woken = 0
        self.bounds = Bounds()

    def schedules(self, actor: Actor = LOCAL) -> Schedules:
        return Schedules(self.store, actor)

    def templates(self, actor: Actor = LOCAL) -> Templates:
        return Templates(self.store, Jobs(self.store, self.home, actor), actor)

    def add(self, cron: str = "0 2 * * *", actor: Actor = LOCAL, **options: Any) -> Schedule:
        return self.schedules(actor).add("nightly", "t", cron, **options)

    def get(self) -> Schedule:
        return self.schedules().get("nightly", "acme")

    def keep_time(self) -> float:
        return Timekeeper(self.store, self.bounds, self.wake)()

    def wake(self) -> None:
        self.woken += 1

    def at(self, hours: float) -> float:
        """Let the time come that is so many hours after the beginning; run what is due."""
        self.clock.advance(BEGIN + hours * HOUR - self.clock.now())
        return self.keep_time()

    def service(self) -> Jobs:
        return Jobs(self.store, self.home, LOCAL)

    def jobs(self) -> list[Job]:
        return self.service().page(JobFilter(), 1000).jobs

    def batch(self, batch_id: str | None) -> Batch:
        assert batch_id is not None
        with self.store.read() as tx:
            return batches.batch(tx, views.batch_seq_of(tx, batch_id))


@pytest.fixture
def house(store: Store, tmp_path: Path, clock: ManualClock) -> House:
    house = House(store, tmp_path / "home", clock)
    document = {"command": "test {branch}", "parameters": {"branch": "main"}, "name": "t {branch}"}
    house.templates().save("t", document, org_id="acme")
    return house


def hours(instant: float | None) -> float | None:
    """How many hours after the beginning."""
    return None if instant is None else (instant - BEGIN) / HOUR


class TestAdd:
    def test_what_was_added_is_there(self, house: House) -> None:
        added = house.add(
            org_id="acme", timezone="Europe/Prague", parameters={"branch": "x"}, missed="all"
        )

        assert house.get() == added
        assert (added.org_id, added.template, added.created_by) == ("acme", "t", "root")
        assert (added.parameters, added.missed) == ({"branch": "x"}, "all")
        assert (hours(added.next_at), added.is_paused) == (13, False)
        with house.store.read() as tx:
            entry = audit.page(tx, AuditFilter(action="schedule.add"), 9, None)[0]
        assert entry.subject == "acme/nightly"

    @pytest.mark.parametrize(
        ("fields", "error", "sentence"),
        [
            ({"cron": "0 2 * *"}, InvalidRequest, "it has five fields"),
            ({"cron": "0 0 30 2 *"}, InvalidRequest, "Bad day-of-month"),
            ({"timezone": "Prague"}, InvalidRequest, "there is no time zone 'Prague'"),
            ({"missed": "never"}, InvalidRequest, "'never' is none of the ways with missed runs"),
            ({"overlap": "no"}, InvalidRequest, "'no' is none of the ways with overlapping runs"),
            ({"parameters": {"brunch": "x"}}, InvalidRequest, "no parameter is called 'brunch'"),
            ({"name": "a/b"}, InvalidRequest, "is no name for a schedule"),
            ({"template": "u"}, NotFound, "there is no template 'u'"),
            ({"org_id": "other"}, NotFound, "there is no template 't'"),
        ],
        ids=str,
    )
    def test_what_could_not_run_is_refused(
        self, house: House, fields: dict[str, Any], error: type[RunyardError], sentence: str
    ) -> None:
        wanted = {"name": "n", "template": "t", "cron": "0 2 * * *", "org_id": "acme", **fields}
        with pytest.raises(error, match=sentence):
            house.schedules().add(**wanted)
        assert house.schedules().page() == []

    def test_a_name_is_taken_once(self, house: House) -> None:
        house.add(org_id="acme")
        with pytest.raises(Conflict, match="there is a schedule 'nightly' already"):
            house.add(org_id="acme")

    def test_its_template_cannot_be_removed(self, house: House) -> None:
        house.add(org_id="acme")
        with pytest.raises(Conflict, match="the schedule 'nightly' runs it"):
            house.templates().remove("t", "acme")
        house.schedules().remove("nightly", "acme")
        house.templates().remove("t", "acme")

    def test_the_next_times_are_those_of_its_clocks(self, house: House) -> None:
        house.add(org_id="acme", timezone="Europe/Prague")
        first, second = house.schedules().upcoming("nightly", 2, "acme")

        assert first.isoformat() == "2026-11-26T02:00:00+01:00"
        assert second.isoformat() == "2026-11-27T02:00:00+01:00"


class TestRun:
    def test_it_runs_when_it_is_due_and_is_due_again(self, house: House) -> None:
        house.add(org_id="acme", parameters={"branch": "dev"})
        assert house.keep_time() == Timekeeper.INTERVAL
        assert house.at(14 - 0.1 / HOUR) == pytest.approx(0.1)
        assert house.jobs() == []

        house.at(14)

        (job,) = house.jobs()
        assert (job.name, job.command) == ("t dev", "test dev")
        assert (job.org_id, job.submitted_by) == ("acme", "root")
        assert job.labels == {"template": "t", "schedule": "nightly"}
        schedule = house.get()
        assert (hours(schedule.last_due), hours(schedule.next_at)) == (14, 38)
        assert house.batch(schedule.last_batch).name == "t"
        assert house.woken == 1
        assert house.keep_time() == Timekeeper.INTERVAL
        assert len(house.jobs()) == 1

    def test_of_many_workers_one_runs_it(self, house: House) -> None:
        house.add("* * * * *", org_id="acme", overlap="allow")
        for n in range(1, 6):
            house.clock.advance(60)
            in_parallel(*[house.keep_time] * 6)
            assert len(house.jobs()) == n

    def test_a_worker_that_dies_at_it_changes_nothing(self, house: House) -> None:
        house.add(org_id="acme")
        house.clock.advance(14 * HOUR)

        class Power(BaseException):
            pass

        def fails() -> None:
            def work(tx: Any) -> None:
                Timekeeper(house.store, house.bounds, house.wake)._submit(tx, house.get().id)
                raise Power

            house.store.write(work)

        with pytest.raises(Power):
            fails()
        assert house.jobs() == []
        assert hours(house.get().next_at) == 14
        house.keep_time()
        assert len(house.jobs()) == 1

    def test_the_template_of_the_moment_counts(self, house: House) -> None:
        house.add(org_id="acme")
        house.templates().save("t", {"command": "another"}, org_id="acme")
        house.at(14)

        assert [job.command for job in house.jobs()] == ["another"]

    def test_a_paused_one_is_not_due(self, house: House) -> None:
        house.add(org_id="acme")
        house.schedules().pause("nightly", "acme")
        paused = house.schedules().pause("nightly", "acme")
        assert (hours(paused.paused_at), paused.next_at) == (0, None)
        house.at(40)
        assert house.jobs() == []

        resumed = house.schedules().resume("nightly", "acme")
        assert (resumed.paused_at, hours(resumed.next_at)) == (None, 62)
        house.keep_time()
        assert house.jobs() == []
        house.at(62)
        assert len(house.jobs()) == 1


class TestMissed:
    """Due at 14, 38 and 62 hours; the next worker comes after 70."""

    @pytest.mark.parametrize(
        ("missed", "expected"), [("skip", []), ("once", [62]), ("all", [14, 38, 62])]
    )
    def test_what_is_made_up_for(self, house: House, missed: str, expected: list[int]) -> None:
        house.add(org_id="acme", missed=missed, overlap="allow")
        house.at(70)

        assert len(house.jobs()) == len(expected)
        schedule = house.get()
        assert hours(schedule.last_due) == (expected[-1] if expected else None)
        assert hours(schedule.next_at) == 86
        house.at(86)
        assert len(house.jobs()) == len(expected) + 1

    def test_what_is_a_little_late_was_not_missed(self, house: House) -> None:
        house.add(org_id="acme", missed="skip")
        house.at(62 + 4 / 60)

        assert len(house.jobs()) == 1

    def test_all_has_a_bound(self, house: House) -> None:
        house.add("* * * * *", org_id="acme", missed="all")
        house.at(1000)

        assert len(house.jobs()) == MOST_AT_ONCE
        assert hours(house.get().last_due) == 1000


class TestOverlap:
    """Due at 14, 38 and 62 hours; nobody runs the jobs unless a test does."""

    def test_a_run_is_left_out_while_the_last_one_is_not_over(self, house: House) -> None:
        house.add(org_id="acme")
        house.at(14)
        first = house.get().last_batch
        house.at(38)

        assert len(house.jobs()) == 1
        schedule = house.get()
        assert (hours(schedule.last_due), hours(schedule.next_at)) == (14, 62)
        assert schedule.last_error == f"the last run, {first}, is not over"

        house.service().cancel([first or ""])
        house.at(62)
        assert len(house.jobs()) == 2
        assert house.get().last_error is None

    def test_or_runs_beside_it(self, house: House) -> None:
        house.add(org_id="acme", overlap="allow")
        house.at(14)
        house.at(38)

        assert [job.state for job in house.jobs()] == ["queued", "queued"]

    def test_or_in_its_place(self, house: House) -> None:
        house.add(org_id="acme", overlap="replace")
        house.at(14)
        first = house.get().last_batch
        house.at(38)

        assert [job.state for job in house.jobs()] == ["queued", "cancelled"]
        with house.store.read() as tx:
            entry = audit.page(tx, AuditFilter(action="cancel"), 9, None)[0]
        assert (entry.actor, entry.subject) == ("root", first)

    @pytest.mark.parametrize("overlap", ["skip", "replace"])
    def test_one_that_was_deleted_is_over(self, house: House, overlap: str) -> None:
        house.add(org_id="acme", overlap=overlap)
        house.at(14)
        first = house.get().last_batch or ""
        house.service().cancel([first])
        house.service().purge_batch(first)
        house.at(38)

        assert [job.state for job in house.jobs()] == ["queued"]

    def test_runs_that_are_made_up_for_at_once_count_as_one(self, house: House) -> None:
        house.add(org_id="acme", missed="all")
        house.at(70)
        assert len(house.jobs()) == 3
        house.at(86)
        assert len(house.jobs()) == 3


class TestFailure:
    """What cannot be submitted is told, and the next time is as good as any."""

    def failed(self, house: House) -> str:
        house.at(14)
        assert house.jobs() == []
        schedule = house.get()
        assert hours(schedule.next_at) == 38
        assert schedule.last_due is None
        return schedule.last_error or ""

    def test_a_template_that_needs_more_by_now(self, house: House) -> None:
        house.add(org_id="acme")
        document = {"command": "x {y}", "parameters": {"y": None, "branch": ""}}
        house.templates().save("t", document, org_id="acme")

        assert self.failed(house) == "template t: the parameter 'y' needs a value"
        house.templates().save("t", {"command": "x"}, org_id="acme")
        house.at(38)
        assert len(house.jobs()) == 1
        assert house.get().last_error is None

    def test_a_quota(self, house: House) -> None:
        house.add(org_id="acme")
        house.store.write(lambda tx: quotas.put(tx, "org", "acme", 0))

        assert "org acme may have 0 jobs waiting" in self.failed(house)

    def test_a_directory_out_of_bounds(self, house: House) -> None:
        house.templates().save("t", {"command": "x", "cwd": "/"}, org_id="acme")
        house.add(org_id="acme")
        house.bounds = Bounds(Workdirs(("/srv",)))

        assert "directory / is not inside of /srv" in self.failed(house)

    def test_others_run_all_the_same(self, house: House) -> None:
        document = {"command": "x", "depends_on": ["0" * 13]}
        house.templates().save("bad", document, org_id="acme")
        house.schedules().add("bad", "bad", "0 1 * * *", org_id="acme")
        house.add(org_id="acme")
        house.at(14)

        assert len(house.jobs()) == 1
        assert "there is no job 0000" in (house.schedules().get("bad", "acme").last_error or "")


class TestRoles:
    @pytest.fixture
    def ann(self, house: House) -> Actor:
        """A member of acme who has a schedule."""
        accounts = Accounts(house.store, LOCAL)
        accounts.add("boss", Role.ADMIN)
        user = accounts.add("ann", Role.MEMBER, "acme")
        actor = Actor("ann", Role.MEMBER, "acme", user_id=user.id)
        house.add(actor=actor)
        return actor

    def test_what_it_submits_is_its_creators(self, house: House, ann: Actor) -> None:
        house.at(14)

        (job,) = house.jobs()
        assert (job.submitted_by, job.org_id) == ("ann", "acme")
        with house.store.read() as tx:
            entry = audit.page(tx, AuditFilter("ann", "submit"), 9, None)[0]
        assert (entry.address, entry.subject) == ("schedule", house.get().last_batch)

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ({"disabled_at": 1.0}, "its creator ann is disabled"),
            ({"role": "viewer"}, "a viewer may only look"),
            ({"org_id": "other"}, "its creator ann has left the org acme"),
        ],
    )
    def test_what_its_creator_may_not_any_more_it_may_not(
        self, house: House, ann: Actor, values: dict[str, Any], sentence: str
    ) -> None:
        assert ann.user_id is not None
        house.store.write(lambda tx: users.change(tx, ann.user_id or 0, **values))
        house.at(14)

        assert house.jobs() == []
        assert house.get().last_error == sentence

    def test_only_its_creator_and_admins_change_it(self, house: House, ann: Actor) -> None:
        bob = Actor("bob", Role.MEMBER, "acme", user_id=77)
        reader = Actor("ann", Role.MEMBER, "acme", TokenScope.READ, user_id=ann.user_id)
        viewer = Actor("vic", Role.VIEWER, "acme", user_id=78)
        for actor in (bob, reader, viewer):
            schedules = house.schedules(actor)
            assert [schedule.name for schedule in schedules.page()] == ["nightly"]
            for change in (schedules.pause, schedules.resume, schedules.remove):
                with pytest.raises(Forbidden):
                    change("nightly")
        for actor in (reader, viewer):
            with pytest.raises(Forbidden):
                house.schedules(actor).add("other", "t", "0 2 * * *")
        house.schedules(ann).pause("nightly")
        house.schedules().remove("nightly", "acme")

    def test_another_org_does_not_know_of_it(self, house: House, ann: Actor) -> None:
        schedules = house.schedules(Actor("oli", Role.MEMBER, "other", user_id=79))
        assert schedules.page() == []
        for ask in (schedules.get, schedules.pause, schedules.remove):
            with pytest.raises(NotFound, match="there is no schedule 'nightly'"):
                ask("nightly", org_id="acme")
        with pytest.raises(NotFound):
            schedules.upcoming("nightly", 5, "acme")
        with pytest.raises(Forbidden):
            schedules.add("n", "t", "0 2 * * *", org_id="acme")


def test_pages(house: House) -> None:
    for name in ("a", "b", "c"):
        house.schedules().add(name, "t", "0 2 * * *", org_id="acme")

    first, second = house.schedules().page(2)
    assert [schedule.name for schedule in (first, second)] == ["a", "b"]
    rest = house.schedules().page(2, (second.org_id, second.name))
    assert [schedule.name for schedule in rest] == ["c"]
