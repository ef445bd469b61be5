"""Groups, devices, priorities, pauses and limits as people see and change them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runyard import Runyard
from runyard.domain.job import State
from tests.support.commands import Said, call, quiet_home, runyard, submitted
from tests.support.processes import eventually
from tests.support.working import WorkerProcess, in_state, wait_until

pytestmark = pytest.mark.usefixtures("way")

QUICK = """\
[worker]
simulate = true
"""
for _target in ("emulator", "device", "browserstack"):
    QUICK += f"[targets.{_target}.simulation]\ninstall_seconds = 0.05\ntest_seconds = 0.02\n"

ON_EMULATOR = ("--target=emulator", "--org-id=acme")


@pytest.fixture
def quick(here: Path) -> Path:
    """A configuration with phones that are played, quickly."""
    path = here / "runyard.toml"
    path.write_text(QUICK)
    return path


@pytest.fixture
def yard(home: Path) -> Iterator[Runyard]:
    with Runyard(background_worker=False) as yard:
        yield yard


def spec(build: str, number: int = 1, *options: str) -> str:
    words = (f"--app-version-id={build}", f"--test=tests/t{number}.spec.js")
    return submitted(*ON_EMULATOR, *words, *options)


def is_served() -> bool:
    """Whether a worker has signed on."""
    return bool(call("devices", "--json").json["devices"])


@pytest.mark.parametrize("way", ["local"], indirect=True)  # with workers that come by themselves
class TestTheLetter:
    """The commands that users of the old tool know."""

    def test_submit_then_queued_then_running_then_passed(self, quick: Path, yard: Runyard) -> None:
        said = runyard(
            "submit",
            "--org-id=acme",
            "--app-version-id=xyz123",
            "--test=tests/onboarding.spec.js",
            "--target=emulator",
            "--priority",
            "high",
        )
        job = said.out.strip()
        assert (said.code, said.err) == (0, "")
        wait_until(yard, yard.get(job), State.PASSED)
        told = [event.kind for event in yard.events(job)]
        assert told == ["submitted", "claimed", "passed"]
        status = runyard("status", f"--job-id={job}").out
        assert "state:      passed" in status
        assert "target:     emulator, build xyz123" in status
        assert "slot emulator-555" in status
        assert "tests/onboarding.spec.js done" in runyard("logs", job).out
        assert "setup xyz123 done" in runyard("logs", "--setup", job).out

    def test_a_wrong_configuration_is_told_before_anything_is_saved(
        self, here: Path, yard: Runyard
    ) -> None:
        (here / "runyard.toml").write_text("[target]")
        assert "did you mean targets?" in call("submit", "true").sentence
        (here / "runyard.toml").unlink()
        assert "No such file" in call("submit", "--config", "nope.toml", "true").sentence
        assert yard.list().jobs == []


class TestGroups:
    def test_without_any(self) -> None:
        assert call("groups", "--json").json == {"groups": []}
        assert call("groups").out.startswith("ID  ORG ")

    def test_what_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        quiet_home(monkeypatch)
        jobs = [spec("v1", n) for n in range(3)]
        other = spec("v2")
        first, second = sorted(
            call("groups", "--json").json["groups"], key=lambda group: group["id"]
        )
        assert (first["app_version_id"], first["queued"], first["running"]) == ("v1", 3, 0)
        assert [member["id"] for member in first["jobs"]] == jobs
        assert (first["org_id"], first["target"], first["holders"]) == ("acme", "emulator", [])
        assert (first["installs"], first["installs_saved"]) == (0, 0)
        assert [member["id"] for member in second["jobs"]] == [other]

    def test_what_was_done(
        self, quick: Path, yard: Runyard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        quiet_home(monkeypatch)
        jobs = [spec("v1", n) for n in range(3)]
        with WorkerProcess("--simulate", "--config", str(quick), slots=1):
            for job in jobs:
                wait_until(yard, yard.get(job), State.PASSED)
            (group,) = call("groups", "--json").json["groups"]
            devices = call("devices", "--json").json["devices"]
            lines = call("groups").out.splitlines()
        assert group["installs"] + group["installs_saved"] == 3
        assert {holder["slot"] for holder in group["holders"]} <= {
            "emulator-5554",
            "emulator-5556",
        }
        assert [device["name"] for device in devices if device["app_version_id"]]
        assert len(devices) == 1 + 5
        assert "acme" in lines[1]

    def test_one_can_be_cancelled_whole(self, monkeypatch: pytest.MonkeyPatch) -> None:
        quiet_home(monkeypatch)
        jobs = [spec("v1", n) for n in range(2)]
        spec("v2")
        group = next(
            g["id"] for g in call("groups", "--json").json["groups"] if g["app_version_id"] == "v1"
        )
        assert call("groups", "cancel", str(group)).out == f"group {group}: 2 jobs cancelled\n"
        states = {j["id"]: j["state"] for j in call("list", "--json").json["jobs"]}
        assert {states[job] for job in jobs} == {"cancelled"}
        assert "there is no group 99" in call("groups", "cancel", "99").sentence


class TestDevices:
    def test_a_drained_one_takes_nothing_until_it_is_resumed(
        self, quick: Path, yard: Runyard, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        quiet_home(monkeypatch)
        with WorkerProcess("--simulate", "--config", str(quick), slots=1):
            eventually(is_served)
            for name in ("emulator-5554", "emulator-5556"):
                assert call("devices", "drain", name).out == f"{name} is draining\n"
            assert call("devices", "drain", "emulator-5554").out.endswith("draining already\n")
            job = spec("v1")
            found = call("explain", job, "--json").json
            assert found["code"] == "no_device"
            assert "emulator-5554 has been draining for" in found["text"]
            assert "draining" in call("devices").out
            said = call("devices", "resume", "emulator-5556", "--json").json
            assert said == {"device": "emulator-5556", "state": "ready", "changed": 1}
            assert wait_until(yard, yard.get(job), State.PASSED).attempts[-1].slot == (
                "emulator-5556"
            )

    def test_an_unknown_one(self) -> None:
        assert "there is no device 'x'; runyard devices lists them" in (
            call("devices", "drain", "x").sentence
        )


@pytest.mark.usefixtures("still")
class TestRules:
    @pytest.fixture
    def still(self, monkeypatch: pytest.MonkeyPatch) -> None:
        quiet_home(monkeypatch)

    @pytest.mark.usefixtures("still")
    def test_groups_are_chosen(self) -> None:
        for org, build in (("acme", "v1"), ("acme", "v2"), ("other", "v1")):
            submitted("--org-id", org, "--app-version-id", build, "--target", "device", "true")

        def found(*options: str) -> list[tuple[str, str]]:
            groups = call("groups", *options, "--json").json["groups"]
            return sorted((group["org_id"], group["app_version_id"]) for group in groups)

        assert found("--org-id", "acme") == [("acme", "v1"), ("acme", "v2")]
        assert found("--app-version-id", "v1") == [("acme", "v1"), ("other", "v1")]
        assert found("--target", "device", "--org-id", "other") == [("other", "v1")]
        assert found("--target", "local") == []

    def test_what_is_paused_is_shown(self) -> None:
        assert call("pause") == Said(0, "", "")
        call("pause", "target", "device")
        call("pause", "org", "acme")

        lines = call("pause").out.splitlines()
        assert [line.partition(" since ")[0] for line in lines] == [
            "org acme has been paused",
            "target device has been paused",
        ]
        (org, _) = call("pause", "--json").json["pauses"]
        assert (org["scope"], org["name"]) == ("org", "acme")
        assert "say what to pause" in call("pause", "org").sentence

    @pytest.mark.usefixtures("still")
    def test_a_run_leaves_no_group_to_be_seen(self, here: Path) -> None:
        (here / "f.json").write_text('{"tasks": [{"name": "a", "command": "true"}]}')
        for _ in range(2):
            assert runyard("run", "f.json", RUNYARD_URL="").code == 0

        submitted("true")
        (group,) = call("groups", "--json").json["groups"]
        assert (group["queued"], group["running"]) == (1, 0)

    @pytest.mark.parametrize("name", ["999", "x", "9" * 30])
    def test_a_group_that_is_not_there_is_not_paused(self, name: str) -> None:
        said = call("pause", "group", name)

        assert said.code == 2
        assert said.sentence == f"there is no group {name}; runyard groups lists them"

    def test_pause_and_resume(self, yard: Runyard) -> None:
        job = submitted("--org-id", "acme", "true")
        assert call("pause", "org", "acme").out == "org acme is paused\n"
        assert call("pause", "org", "acme").out == "org acme is paused already\n"
        with WorkerProcess():
            eventually(is_served)
            assert call("explain", job, "--json").json["code"] == "paused"
            assert call("resume", "org", "acme").out == "org acme is resumed\n"
            eventually(in_state(yard, yard.get(job), State.PASSED))
        assert call("resume", "org", "acme").out == "org acme is resumed: it was not paused\n"

    def test_limits(self) -> None:
        assert call("limit", "--json").json == {"limits": []}
        assert call("limit", "key", "db", "1").out == "key db: at most 1 at once, 0 running\n"
        unused = {"waiting": None, "running_now": 0, "waiting_now": 0}
        assert call("limit", "org", "acme", "4", "--json").json == {
            "limits": [
                {"scope": "key", "name": "db", "running": 1, **unused},
                {"scope": "org", "name": "acme", "running": 4, **unused},
            ]
        }
        assert call("limit", "key", "db", "none").out.startswith("org acme")

    def test_what_waits_is_told_beside_its_limit(self) -> None:
        submitted("--org-id", "acme", "true")
        submitted("--org-id", "acme", "true")

        limit = ("limit", "org", "acme", "--waiting")
        assert call(*limit, "2").out == "org acme: at most 2 waiting, 2 wait\n"
        assert call(*limit, "1").out == "org acme: at most 1 waiting, more than 1 wait\n"
        assert call("limit", "org", "*", "--waiting", "9").out.startswith(
            "org *: at most 9 waiting\n"
        )

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["org", "acme"], "say whose limit and how many: runyard limit org acme 4"),
            (["org", "acme", "few"], "the maximum is 'few'; it is a whole number, or"),
            (["org", "", "1"], "say whose limit"),
            (["planet", "x", "1"], "Invalid value for '[user|org|target|key|org-key]'"),
        ],
    )
    def test_wrong_limits(self, arguments: list[str], sentence: str) -> None:
        said = call("limit", *arguments)
        assert said.code == 2
        assert said.sentence.startswith(sentence)

    def test_priority(self) -> None:
        job = submitted("true")
        assert call("priority", job[:8], "high").out == f"{job} has priority 8\n"
        found: dict[str, Any] = call("priority", job, "0", "--json").json
        assert (found["id"], found["priority"]) == (job, 0)

    @pytest.mark.parametrize("priority", ["11", "urgent", "-1", "1.5"])
    def test_wrong_priorities(self, priority: str) -> None:
        said = call("priority", submitted("true"), "--", priority)
        assert said.code == 2
        assert "priority is a whole number from 0 to 10" in said.sentence
