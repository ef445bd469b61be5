"""``init``: a commented ``runyard.toml`` to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from runyard.cli.params import json_option, printable
from runyard.cli.session import print_json
from runyard.configfile import NAME
from runyard.errors import Conflict

TEMPLATE = """\
# What Runyard runs on here: found from the working directory upwards, or by --config FILE or
# RUNYARD_CONFIG. Everything is optional. A target is a kind of place to run; "local" is there
# without a word, and so are "emulator", "device" and "browserstack", whose commands use adb, curl
# and npx. What stands here is laid over what is built in.
#
# In commands, {device}, {app} and {test} stand for the device's name, the app version and the test
# spec, quoted where a shell reads them; {{ and }} are braces. Commands also see RUNYARD_DEVICE,
# RUNYARD_APP_VERSION, RUNYARD_TEST and RUNYARD_TARGET. A text is a shell line, a list of texts is
# a program with its arguments.

[worker]
# Play all devices instead of using them: for a look around without a phone.
simulate = false

[targets.emulator]
# Each device is one slot. "adb devices" lists them.
devices = []                      # ["emulator-5554", "emulator-5556"]
# setup = "adb -s {device} install -r {app}"         # once when a slot changes to another build
# teardown = "adb -s {device} uninstall com.example" # before the next build comes
# check = 'test "$(adb -s {device} get-state)" = device'  # is the device well?
# test_command = "npx appwright test {test}"         # what runs a job's --test SPEC
# env = { CI = "1" }
# group_slots = 1                 # at most so many slots share one build; default: no limit

# [targets.browserstack]
# slots = 5                       # places without a name of their own

# [targets.rack]                  # a target of your own
# devices = ["board-1", "board-2"]
# setup = ["./flash.sh", "{device}", "{app}"]
# test_command = ["./run-on.sh", "{device}", "{test}"]

# [targets.demo]                  # a target with nothing real behind it
# driver = "simulated"
# slots = 2
# simulation = { install_seconds = 1.0, test_seconds = 0.5, spread = 0.2, failure_rate = 0.0, \
infra_failure_rate = 0.0, install_failure_rate = 0.0, seed = 0 }

# Of slots that several orgs want, one of weight 2 gets twice as much as one of weight 1.
# [orgs.acme]
# weight = 2
"""


@click.command("init")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@json_option
def init_command(force: bool, as_json: bool) -> None:
    """Write a commented runyard.toml into the current directory.

    \b
    Examples:
      runyard init
      runyard init --force
    """
    path = Path(NAME).absolute()
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise Conflict(f"{path} is there already; --force replaces it") from None
    if as_json:
        print_json({"path": str(path)})
    else:
        click.echo(f"wrote {printable(str(path))}")
