"""``runyard batches``, here and on a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard import Runyard
from runyard.domain.batch import Batch
from tests.support.commands import Said, call, quiet_home
from tests.support.working import work

pytestmark = pytest.mark.usefixtures("way", "quiet")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet_home(monkeypatch)


@pytest.fixture
def yard(home: Path) -> Iterator[Runyard]:
    with Runyard(home, background_worker=False) as yard:
        yield yard


@pytest.fixture
def made(yard: Runyard, home: Path) -> dict[str, Batch]:
    """One batch in each state that lasts."""
    commands = {"passed": ["true", "true"], "failed": ["true", "false"]}
    made = {
        name: yard.submit_batch([{"command": c} for c in of], name=name)
        for name, of in commands.items()
    }
    work(home)
    later = [{"command": "true", "run_after": "2100-01-01T00:00:00Z"} for _ in range(2)]
    for name in ("queued", "running", "cancelled"):
        made[name] = yard.submit_batch(later, name=name)
    yard.cancel(yard.list(batch=made["running"]).jobs[0])
    yard.cancel(made["cancelled"])
    return made


def names(said: Said) -> list[str]:
    return [batch["name"] for batch in said.json["batches"]]


def test_the_newest_come_first(made: dict[str, Batch]) -> None:
    head, *lines = call("batches").out.splitlines()

    assert head.split() == ["ID", "STATE", "TOTAL", "PASSED", "FAILED", "LEFT", "SECONDS", "NAME"]
    assert [line.split()[:2] for line in lines] == [
        [batch.id, name] for name, batch in reversed(made.items())
    ]
    failed = next(line.split() for line in lines if line.endswith("failed"))
    assert failed[2:6] == ["2", "1", "1", "0"]


def test_each_state_finds_its_own(made: dict[str, Batch]) -> None:
    for name in made:
        assert names(call("batches", "--state", name, "--json")) == [name]
    assert len(names(call("batches", "--state=passed", "--state=queued", "--json"))) == 2


@pytest.mark.usefixtures("made")
def test_filters_choose() -> None:
    assert names(call("batches", "--q", "ED", "--json", "--state", "failed")) == ["failed"]
    assert names(call("batches", "--q", "%", "--json")) == []
    assert names(call("batches", "--org-id", "acme", "--json")) == []
    assert len(names(call("batches", "--org-id", "default", "--json"))) == 5
    assert names(call("batches", "--submitted-by", "nobody", "--json")) == []


@pytest.mark.usefixtures("made")
def test_pages_follow_each_other() -> None:
    first = call("batches", "--limit", "2")
    rest = call("batches", "--cursor", first.err.split()[-1])

    assert first.err.startswith("more: the same with --cursor ")
    assert (len(first.out.splitlines()), len(rest.out.splitlines()), rest.err) == (3, 4, "")
    assert call("batches", "--limit", "0").sentence == "a page has between 1 and 1000 batches"
