"""Groups on devices: one install for many tests, and devices that are not well."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runyard import Runyard, bootstrap
from runyard.config import Settings
from runyard.domain.event import EventKind
from runyard.domain.job import Job, Reason, State
from runyard.domain.slot import SlotState
from runyard.domain.target import Target
from runyard.domain.yard import DeviceView, GroupView
from runyard.engine import places
from runyard.engine.observer import Observer
from runyard.engine.worker import WorkerOptions
from tests.support.working import kinds, work


@dataclass(frozen=True)
class Shelf:
    """Devices whose commands note what is done to them; ``sick`` ones fail installs."""

    root: Path

    def target(self, name: str = "emulator", *devices: str, **more: Any) -> Target:
        note = f"{{{{ echo %s {{device}} {{app}} {{test}} >> {self.root}/log; }}}}"
        return Target(
            name=name,
            devices=devices or (f"{name}-1",),
            setup=f"{note % 'install'}; echo installing; ! test -e {self.root}/sick-{{device}}",
            **{"test_command": note % "test", **more},
        )

    @property
    def log(self) -> list[list[str]]:
        """What was done: install or test, device, app, and the test."""
        path = self.root / "log"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def done(self, what: str) -> list[list[str]]:
        return [line for line in self.log if line[0] == what]

    def make_sick(self, device: str) -> Path:
        path = self.root / f"sick-{device}"
        path.touch()
        return path


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def spec_on(yard: Runyard, app: str, target: str = "emulator", **fields: Any) -> Job:
    return yard.submit(
        fields.pop("test", "a.spec.js"),
        kind="test",
        app_version_id=app,
        target=target,
        org_id="acme",
        **fields,
    )


def groups(yard: Runyard) -> list[GroupView]:
    return bootstrap.yardmaster(yard._here.settings, yard._here.store).groups()


def contiguous(log: list[list[str]]) -> bool:
    """Whether whoever tests a build has installed it last."""
    installed: dict[str, str] = {}
    for what, device, app, *_ in log:
        if what == "install":
            installed[device] = app
        elif installed.get(device) != app:
            return False
    return True


def test_jobs_that_share_a_build_and_a_target_share_an_install(
    yard: Runyard, home: Path, shelf: Shelf
) -> None:
    mixed = [("v1", "emulator"), ("v2", "emulator"), ("v1", "browserstack")]
    amounts = Counter(dict(zip(mixed, (5, 3, 2), strict=True)))
    jobs = []
    while amounts.total():
        for app, target in mixed:
            if amounts[app, target]:
                amounts[app, target] -= 1
                jobs.append(spec_on(yard, app, target))
    work(home, at_hand=(shelf.target("emulator"), shelf.target("browserstack")))

    assert {yard.get(job).state for job in jobs} == {State.PASSED}
    assert contiguous(shelf.log)
    assert sorted(line[1:3] for line in shelf.done("install")) == [
        ["browserstack-1", "v1"],
        ["emulator-1", "v1"],
        ["emulator-1", "v2"],
    ]
    assert len(shelf.done("test")) == 10
    seen = {(g.app_version_id, g.target): (g.installs, g.installs_saved) for g in groups(yard)}
    assert seen == {
        ("v1", "emulator"): (1, 4),
        ("v2", "emulator"): (1, 2),
        ("v1", "browserstack"): (1, 1),
    }


def test_a_large_group_takes_a_second_device(yard: Runyard, home: Path, shelf: Shelf) -> None:
    target = shelf.target("emulator", "e1", "e2")
    yard.submit_batch(
        {"command": f"{n}.js", "kind": "test", "app_version_id": "v1", "target": "emulator"}
        for n in range(200)
    )
    work(home, at_hand=(target,))

    assert len(shelf.done("install")) == 2
    by_device = Counter(device for _, device, *_ in shelf.done("test"))
    assert by_device.total() == 200
    assert min(by_device.values()) > 60


def test_whatever_is_more_urgent_comes_between(yard: Runyard, home: Path, shelf: Shelf) -> None:
    class Urgent(Observer):
        def __init__(self) -> None:
            self.told = False

        def finished(self, _: object) -> None:
            if not self.told:
                self.told = True
                spec_on(yard, "hotfix", test="urgent.js", priority="critical")

    for _ in range(3):
        spec_on(yard, "v1", test="usual.js")
    settings = Settings.load(home)
    options = WorkerOptions(1, (shelf.target(),), idle_exit=0.1, poll_seconds=0.05)
    with bootstrap.worker(settings, yard._here.store, options, Urgent()) as worker:
        worker.run()

    order = [line[3] for line in shelf.done("test")]
    assert order.index("urgent.js") <= 2  # one may have been claimed with the same commit
    assert sorted(order) == ["urgent.js", *["usual.js"] * 3]
    assert contiguous(shelf.log)


def test_one_build_goes_before_the_next_comes(yard: Runyard, home: Path, shelf: Shelf) -> None:
    note = f"echo teardown {{device}} {{app}} >> {shelf.root}/log"
    spec_on(yard, "v1")
    work(home, at_hand=(shelf.target(teardown=note),))  # a new worker knows of no build
    spec_on(yard, "v1")
    spec_on(yard, "v2")
    work(home, at_hand=(shelf.target(teardown=note),))

    did = [line[:3] for line in shelf.log]
    second = did[2:]
    first_app = second[0][2]
    assert second[:2] == [["install", "emulator-1", first_app], ["test", "emulator-1", first_app]]
    assert second[2] == ["teardown", "emulator-1", first_app]


def test_what_commands_are_told(yard: Runyard, home: Path, shelf: Shelf) -> None:
    words = "$RUNYARD_APP_VERSION {app} $RUNYARD_DEVICE {device} $RUNYARD_TEST {test} $MODE"
    target = shelf.target(test_command=f"echo {words}", env={"MODE": "fast"})
    job = spec_on(yard, "v1.2 beta", test="it's.js")
    work(home, at_hand=(target,))

    said = "v1.2 beta v1.2 beta emulator-1 emulator-1 it's.js it's.js fast\n"
    assert yard.logs(job)[0] == said


def test_what_the_setup_said_is_kept(yard: Runyard, home: Path, shelf: Shelf) -> None:
    job = spec_on(yard, "v1")
    work(home, at_hand=(shelf.target(),))

    assert yard.logs(job, step="setup") == ("installing\n", "")
    (attempt,) = yard.get(job).attempts
    assert attempt.setup_seconds
    assert attempt.setup_seconds > 0


def test_no_device_no_test(yard: Runyard, home: Path) -> None:
    """A general slot does not know how to run a spec."""
    job = spec_on(yard, "v1", "unheard-of")
    work(home)

    assert yard.get(job).reason is Reason.NOT_STARTED
    (failed,) = [e for e in yard.events(job) if e.kind is EventKind.FAILED]
    assert "unheard-of has no test_command" in failed.data["detail"]


class TestHealth:
    def devices(self, yard: Runyard) -> dict[str, DeviceView]:
        found = bootstrap.yardmaster(yard._here.settings, yard._here.store).devices()
        return {device.name: device for device in found}

    def test_a_device_that_fails_installs_is_left_alone(
        self, yard: Runyard, home: Path, shelf: Shelf
    ) -> None:
        shelf.make_sick("e1")
        jobs = [spec_on(yard, f"v{n}", max_attempts=1) for n in range(6)]
        seen: dict[str, DeviceView] = {}

        class Looking(Observer):
            def finished(_, __: object) -> None:  # noqa: N805
                seen.update(self.devices(yard))

        settings = Settings.load(home)
        target = shelf.target("emulator", "e1", "e2")
        options = WorkerOptions(1, (target,), idle_exit=0.2, poll_seconds=0.05)
        with bootstrap.worker(settings, yard._here.store, options, Looking()) as worker:
            worker.run()

        assert {yard.get(job).state for job in jobs} == {State.PASSED}
        assert {device for _, device, *_ in shelf.done("test")} == {"e2"}
        assert len([line for line in shelf.done("install") if line[1] == "e1"]) == 2
        assert (seen["e1"].state, seen["e2"].state) == (SlotState.QUARANTINED, SlotState.READY)
        assert "the setup on e1 ended with exit code 1" in (seen["e1"].reason or "")
        failed = [job for job in jobs if EventKind.SETUP_FAILED in kinds(yard, job)]
        assert len(failed) == 2
        for job in map(yard.get, failed):
            assert [a.slot for a in job.attempts] == ["e1", "e2"]
            assert job.attempts[0].reason is Reason.SETUP

    def test_it_is_used_again_when_its_check_passes(
        self, yard: Runyard, home: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(places, "RECHECK_SECONDS", 0.05)
        sick = shelf.make_sick("e1")
        (shelf.root / "well").touch()
        target = shelf.target("emulator", "e1", check=f"test -e {shelf.root}/well")

        class Nurse(Observer):
            def finished(_, done: Any) -> None:  # noqa: N805
                kinds = [move.transition.event for move in done.moves]
                if EventKind.SETUP_FAILED in kinds or EventKind.FAILED in kinds:
                    sick.unlink(missing_ok=True)

        job = spec_on(yard, "v1")
        settings = Settings.load(home)
        options = WorkerOptions(1, (target,), idle_exit=0.5, poll_seconds=0.05)
        with bootstrap.worker(settings, yard._here.store, options, Nurse()) as worker:
            worker.run()

        assert yard.get(job).state is State.PASSED

    def test_a_device_whose_check_fails_gets_nothing(
        self, yard: Runyard, home: Path, shelf: Shelf
    ) -> None:
        job = spec_on(yard, "v1")

        class Impatient(Observer):
            def is_done(_) -> bool:  # noqa: N805
                return self.devices(yard)["emulator-1"].state is SlotState.QUARANTINED

        options = WorkerOptions(1, (shelf.target(check="false"),), poll_seconds=0.05)
        with bootstrap.worker(
            Settings.load(home), yard._here.store, options, Impatient()
        ) as worker:
            worker.run()

        assert yard.get(job).state is State.QUEUED
        assert shelf.log == []

    def test_failing_tests_do_not_blame_the_device(
        self, yard: Runyard, home: Path, shelf: Shelf
    ) -> None:
        target = shelf.target(test_command="false")
        jobs = [spec_on(yard, "v1") for _ in range(5)]
        work(home, at_hand=(target,))

        assert {yard.get(job).reason for job in jobs} == {Reason.EXIT_CODE}

    def test_a_build_that_installs_nowhere_fails(
        self, yard: Runyard, home: Path, shelf: Shelf
    ) -> None:
        names = [f"e{n}" for n in range(4)]
        for name in names:
            shelf.make_sick(name)
        job = spec_on(yard, "v1", max_attempts=5)
        work(home, at_hand=(shelf.target("emulator", *names),))

        assert (yard.get(job).state, yard.get(job).reason) == (State.FAILED, Reason.SETUP)
        assert len({a.slot for a in yard.get(job).attempts}) == 3, "each try on another device"
