"""Workers, targets, counts and the audit on the command line: as over REST, here and there."""

from __future__ import annotations

from pathlib import Path

import pytest

from runyard import bootstrap
from runyard.config import Settings
from runyard.store import registry
from runyard.store.registry import WorkerInfo
from tests.support.commands import call, quiet_home, submitted

pytestmark = pytest.mark.usefixtures("way")


@pytest.fixture(autouse=True)
def quiet(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_home(monkeypatch)


@pytest.fixture
def fleet(home: Path) -> None:
    store = bootstrap.open_store(Settings.load(home))
    places = (("phone", "emulator"), ("any", None))
    info = WorkerInfo("w1", "host1", 4711, 2, targets=("emulator",), places=places)
    store.write(lambda tx: registry.sign_on(tx, info))
    store.close()


def test_workers_and_targets(fleet: None) -> None:
    (worker,) = call("workers", "--json").json["workers"]
    assert (worker["id"], worker["host"], worker["pid"]) == ("w1", "host1", 4711)
    assert (worker["slots"], worker["targets"]) == (2, ["emulator"])
    assert "w1" in call("workers").out
    assert call("targets", "--json").json == {
        "targets": [
            {"name": "any", "slots": 1, "ready": 1},
            {"name": "emulator", "slots": 1, "ready": 1},
        ]
    }
    assert "emulator" in call("targets").out


def test_counts_of_users(way: str) -> None:
    submitted("--", "true")
    (user,) = call("stats", "--json").json["users"]
    assert (user["org_id"], user["submitted"], user["waiting"]) == ("default", 1, 1)
    assert "SUBMITTED" in call("stats").out


def test_the_audit_is_narrowed_and_goes_on(way: str) -> None:
    for name in ("a", "b", "c"):
        call("limit", "org", name, "3")
    found = call("audit", "--action", "limit", "--limit", "2", "--json").json
    assert [entry["subject"] for entry in found["entries"]] == ["org c", "org b"]
    more = ("--before", str(found["next"]))
    rest = call("audit", "--action", "limit", *more, "--json").json
    assert ([entry["subject"] for entry in rest["entries"]], rest["next"]) == (["org a"], None)
    (only,) = call("audit", "--subject", "org b", "--since", "1h", "--json").json["entries"]
    assert only["data"] == {"running": 3}
    said = call("audit", "--action", "limit", "--limit", "1")
    assert said.out.splitlines()[1].split()[2:5] == ["limit", "org", "c"]
    assert "--before" in said.err
