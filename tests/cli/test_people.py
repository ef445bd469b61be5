"""What a member of a server is told, and does about themselves: ``users`` and ``tokens``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runyard.config import Settings
from tests.support.commands import Said, runyard
from tests.support.serving import PASSWORD, Serving, serving


class Member:
    def __init__(self, place: Serving) -> None:
        self.place = place
        self.token = place.user("max", org="acme")
        place.user("eve", org="evil")

    def __call__(self, *arguments: str, stdin: str = "") -> Said:
        there = {"RUNYARD_URL": self.place.url, "RUNYARD_TOKEN": self.token}
        return runyard(*arguments, stdin=stdin, **there)


@pytest.fixture
def member(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Member]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with serving(Settings.load()) as place:
        yield Member(place)


def test_a_member_has_tokens_of_their_own(member: Member) -> None:
    made = member("tokens", "create", "--name", "ci", "--json").json
    assert made["user"] == "max"
    listed = member("tokens", "list", "--json").json["tokens"]
    assert [(token["user"], token["name"]) for token in listed] == [("max", "ci"), ("max", "test")]
    assert member("tokens", "list", "--user", "eve").sentence == "only an admin may do this"
    assert member("tokens", "revoke", made["id"]).code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("list", "--cursor", "x"),
        ("batches", "--cursor", "x"),
        ("list", "--batch", "x"),
        ("logs", "b-x"),
        ("explain", "b-x"),
        ("status", "b-x"),
        ("users", "add", "a b", "--no-password"),
        ("users", "add", "", "--no-password"),
    ],
)
def test_what_is_wrong_is_told_as_on_this_machine(member: Member, command: tuple[str, ...]) -> None:
    there, here = member(*command), runyard(*command)
    assert (there.code, there.sentence) == (here.code, here.sentence)
    assert "pattern" not in here.sentence


@pytest.mark.parametrize("option", ["--org", "--org-id"])
def test_an_org_is_named_as_elsewhere(home: Path, option: str) -> None:
    said = runyard("users", "add", "ci", "--no-password", option, "acme", "--json")
    assert said.json["org_id"] == "acme"


def test_a_member_changes_their_password(member: Member) -> None:
    def change(*lines: str, name: str = "max", current: bool = True) -> Said:
        options = ["--current"] if current else []
        return member("users", "set-password", name, *options, stdin="\n".join(lines))

    refused = "the current password is missing or wrong"
    assert change("another horse", current=False).sentence == refused
    assert change("wrong", "another horse").sentence == refused
    assert change(PASSWORD, "another horse", name="eve").sentence == "only an admin may do this"
    assert change(PASSWORD, "another horse").code == 0
    place = member.place.url
    assert runyard("login", place, "--name", "max", stdin="another horse").code == 0
