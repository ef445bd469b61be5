"""``runyard.toml``: what it means, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runyard import configfile
from runyard.cli.init import TEMPLATE
from runyard.config import CONFIG_VARIABLE
from runyard.configfile import TARGET_KEYS, Config
from runyard.domain.builtin_targets import BUILTIN
from runyard.domain.target import Simulation, Target, fill
from runyard.errors import InvalidRequest
from tests.support.commands import call


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(text: str) -> Config:
    Path("runyard.toml").write_text(text)
    return configfile.load()


def refusal(text: str) -> str:
    with pytest.raises(InvalidRequest) as refused:
        loaded(text)
    return str(refused.value).removeprefix(str(Path("runyard.toml").absolute()))


class TestWhere:
    def test_there_need_not_be_one(self) -> None:
        found = configfile.load()
        assert found.path is None
        assert dict(found.targets) == BUILTIN
        assert found.at_hand == ()

    def test_it_is_looked_for_upwards(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded("[worker]\nsimulate = true")
        deep = here / "a" / "b"
        deep.mkdir(parents=True)
        monkeypatch.chdir(deep)
        assert configfile.load().path == here / "runyard.toml"

    def test_a_name_wins_over_the_environment_and_that_over_the_nearest(self, here: Path) -> None:
        for name in ("runyard.toml", "other.toml", "named.toml"):
            (here / name).touch()
        environment = {CONFIG_VARIABLE: "other.toml"}
        assert configfile.load(environment=environment).path == here / "other.toml"
        assert configfile.load("named.toml", environment).path == here / "named.toml"

    def test_one_that_is_named_must_be_there(self) -> None:
        with pytest.raises(InvalidRequest, match=r"nope\.toml: No such file or directory"):
            configfile.load("nope.toml")

    def test_it_is_text(self, here: Path) -> None:
        (here / "runyard.toml").write_bytes(b"\xff")
        with pytest.raises(InvalidRequest, match="it is not UTF-8 text"):
            configfile.load()


class TestTargets:
    def test_a_file_is_laid_over_what_is_built_in(self) -> None:
        emulator = loaded('[targets.emulator]\ndevices = ["e1", "e2"]').targets["emulator"]
        assert emulator.places == ("e1", "e2")
        assert emulator.setup == BUILTIN["emulator"].setup
        assert emulator.requires == ("adb", "npx")

    def test_whoever_brings_commands_needs_no_tools_of_ours(self) -> None:
        found = loaded('[targets.emulator]\nslots = 1\nsetup = "true"\ntest_command = "true"')
        assert found.targets["emulator"].requires == ()

    def test_slots_have_names(self) -> None:
        assert loaded("[targets.rack]\nslots = 2").targets["rack"].places == ("rack-1", "rack-2")

    def test_only_targets_with_places_are_at_hand(self) -> None:
        found = loaded("[targets.rack]\nslots = 1\n[targets.other]")
        assert [target.name for target in found.at_hand] == ["rack"]

    def test_a_simulation_brings_phones(self) -> None:
        found = configfile.load(simulate=True)
        assert {target.name: target.places for target in found.at_hand} == {
            "emulator": ("emulator-5554", "emulator-5556"),
            "device": ("phone-1",),
            "browserstack": ("browserstack-1", "browserstack-2"),
        }
        assert {target.driver for target in found.at_hand} == {"simulated"}

    def test_a_simulation_keeps_what_the_file_says_of_devices(self) -> None:
        found = loaded('[worker]\nsimulate = true\n[targets.emulator]\ndevices = ["mine"]')
        assert found.targets["emulator"].driver == "commands"
        (emulator,) = [target for target in found.at_hand if target.name == "emulator"]
        assert (emulator.driver, emulator.places) == ("simulated", ("mine",))

    def test_all_of_it(self) -> None:
        found = loaded(
            """
            [orgs.acme]
            weight = 2
            [targets.rack]
            devices = ["board-1"]
            setup = ["./flash.sh", "{device}", "{app}"]
            teardown = "./erase.sh {device}"
            check = "./ping.sh {device}"
            test_command = "./run.sh {test} {{literally}}"
            env = { CI = "1" }
            group_slots = 1
            driver = "simulated"
            simulation = { install_seconds = 2, seed = 7 }
            """
        )
        rack = found.targets["rack"]
        assert rack.setup == ("./flash.sh", "{device}", "{app}")
        assert rack.simulation == Simulation(install_seconds=2.0, seed=7)
        assert found.group_slots == {"rack": 1}
        assert found.weights == {"acme": 2.0}


WRONG = {
    "no TOML": ("[targets", ": not valid TOML: Expected ']'"),
    "a table": (
        "\n[target.emulator]",
        ", line 2: target: no such key; did you mean targets?",
    ),
    "a key": (
        '[targets.emulator]\ndevice = ["e1"]',
        ", line 2: targets.emulator.device: no such key; did you mean devices?",
    ),
    "a strange key": (
        "[targets.emulator]\nzzz = 1",
        ", line 2: targets.emulator.zzz: no such key; there are slots, devices,",
    ),
    "a type": (
        '# slots\n[targets.emulator]\nslots = "many"',
        ", line 3: targets.emulator.slots: input should be a valid integer",
    ),
    "an amount": (
        "[targets.emulator]\nslots = -1",
        ", line 2: targets.emulator.slots: input should be greater than or equal to 0",
    ),
    "a device twice": (
        '[targets.emulator]\ndevices = ["a", "a"]',
        ", line 2: targets.emulator.devices: 'a' stands twice",
    ),
    "both": (
        '[targets.emulator]\nslots = 1\ndevices = ["a"]',
        ", line 2: targets.emulator.slots: say slots or devices, not both",
    ),
    "a placeholder": (
        '[targets.emulator]\nsetup = "install {apk}"',
        ", line 2: targets.emulator.setup: {apk} is none of {device}, {app}, {test}; write {{",
    ),
    "a lone brace": (
        '[targets.emulator]\nsetup = "a { b"',
        ", line 2: targets.emulator.setup: { is none of {device}, {app}, {test}",
    ),
    "an empty command": (
        "[targets.emulator]\nsetup = []",
        ", line 2: targets.emulator.setup: the command is empty",
    ),
    "a driver": (
        '[targets.emulator]\ndriver = "real"',
        ", line 2: targets.emulator.driver: input should be 'commands' or 'simulated'",
    ),
    "a rate": (
        "[targets.emulator.simulation]\nfailure_rate = 2",
        ", line 1: targets.emulator.simulation: input should be less than or equal to 1",
    ),
    "no table": ("targets = 1", ", line 1: targets: it is a table: [targets]"),
    "no truth": ("worker.simulate = 1", ", line 1: worker.simulate: it is true or false"),
    "a weight": ("[orgs.a]\nweight = 0", ", line 2: orgs.a.weight: it is a number above 0"),
    "a quoted name": (
        '[targets."my rack"]\nslot = 1',
        ", line 2: targets.my rack.slot: no such key; did you mean slots?",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_names_line_key_and_what_would_be_right(case: str) -> None:
    text, sentence = WRONG[case]
    assert refusal(text).startswith(sentence)


class TestInit:
    def test_it_writes_a_file_that_means_what_is_there_without_it(self, here: Path) -> None:
        assert call("init").out == f"wrote {here / 'runyard.toml'}\n"
        found = configfile.load()
        assert found.path == here / "runyard.toml"
        assert found.at_hand == ()
        assert dict(found.targets) == BUILTIN

    def test_it_replaces_nothing_unasked(self, here: Path) -> None:
        (here / "runyard.toml").write_text("# mine")
        assert "--force replaces it" in call("init").sentence
        assert (here / "runyard.toml").read_text() == "# mine"
        assert call("init", "--force", "--json").json == {"path": str(here / "runyard.toml")}

    def test_it_shows_every_key(self) -> None:
        for key in (*TARGET_KEYS, *Simulation.model_fields, "weight", "simulate"):
            assert f"{key} = " in TEMPLATE

    def test_what_it_comments_out_is_valid(self) -> None:
        lines = [line.removeprefix("# ") for line in TEMPLATE.splitlines()]
        is_toml = ("[", "setup =", "teardown =", "check =", "test_command =", "env =", "weight =")
        is_more = ("group_slots", "devices", "slots", "driver", "simul")
        text = "\n".join(line for line in lines if line.startswith(is_toml + is_more))
        assert loaded(text).targets["demo"].places == ("demo-1", "demo-2")


class TestCommands:
    VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))

    @given(VALUES, VALUES)
    def test_an_argument_is_filled_as_it_is(self, device: str, app: str) -> None:
        target = Target(name="t")
        values = {"device": device, "app": app, "test": ""}
        assert target.command(("i", "-s={device}", "{app}"), values) == ["i", f"-s={device}", app]

    @given(st.text())
    def test_doubled_braces_are_braces(self, text: str) -> None:
        doubled = text.replace("{", "{{").replace("}", "}}")
        assert fill(doubled, {}) == text

    def test_a_shell_line_is_quoted(self) -> None:
        values = {"device": "e1", "app": "my app; rm -rf /", "test": "it's.js"}
        line = Target(name="t").command("run {app} {test}", values)
        assert line == "run 'my app; rm -rf /' 'it'\"'\"'s.js'"
