"""``groups``, ``devices``, ``priority``, ``pause``, ``resume`` and ``limit``."""

from __future__ import annotations

import time

import click

from runyard.cli.lists import Column, print_list
from runyard.cli.params import json_option, printable
from runyard.cli.session import print_json, session
from runyard.clock import isoformat
from runyard.domain.job import parse_priority
from runyard.domain.listing import GroupFilter
from runyard.domain.slot import SlotState
from runyard.domain.yard import DeviceView, GroupView, LimitView
from runyard.errors import InvalidRequest
from runyard.policy.fits import LIMITABLE, Scope

STATE_COLOURS = {
    SlotState.READY: "green",
    SlotState.DRAINING: "yellow",
    SlotState.QUARANTINED: "red",
}
PAUSABLE = click.Choice([Scope.ORG.value, Scope.TARGET.value, Scope.GROUP.value])


@click.group("groups", invoke_without_command=True)
@click.option("--org-id")
@click.option("--app-version-id")
@click.option("--target")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
@click.pass_context
def groups_command(
    context: click.Context,
    org_id: str | None,
    app_version_id: str | None,
    target: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show groups: the jobs of one build on one kind of device, which share an install.

    \b
    Examples:
      runyard groups
      runyard groups --target emulator --json
      runyard groups cancel 12
      runyard pause group 12
    """
    if context.invoked_subcommand:
        return
    with session() as here:
        found = here.yard.groups(limit, GroupFilter(org_id, app_version_id, target))
    print_list("groups", found, GROUP_COLUMNS, as_json)


@groups_command.command("cancel")
@click.argument("group", type=int)
@json_option
def cancel_group_command(group: int, as_json: bool) -> None:
    """Cancel all that waits and runs of a group.

    \b
    Example:
      runyard groups cancel 12
    """
    with session() as here:
        ids = here.yard.cancel_group(group)
    if as_json:
        print_json({"group": group, "cancelled": ids})
    else:
        click.echo(f"group {group}: {len(ids)} job{'s' * (len(ids) != 1)} cancelled")


def _held_by(group: GroupView) -> str:
    return ", ".join(holder.slot for holder in group.holders)


GROUP_COLUMNS: list[Column[GroupView]] = [
    Column("ID", lambda group: group.id),
    Column("ORG", lambda group: group.org_id),
    Column("BUILD", lambda group: group.app_version_id or "-"),
    Column("TARGET", lambda group: group.target),
    Column("QUEUED", lambda group: group.queued),
    Column("RUNNING", lambda group: group.running),
    Column("INSTALLS", lambda group: group.installs),
    Column("SAVED", lambda group: group.installs_saved),
    Column(
        "HELD BY",
        lambda group: f"{_held_by(group)}{'  paused' if group.is_paused else ''}",
        lambda group: "yellow" if group.is_paused else None,
    ),
]


@click.group("devices", invoke_without_command=True)
@json_option
@click.pass_context
def devices_command(context: click.Context, as_json: bool) -> None:
    """Show devices and other slots: their health, the build on them, what they run.

    \b
    Examples:
      runyard devices
      runyard devices drain emulator-5554     it takes no more jobs
      runyard devices resume emulator-5554    it does again
    """
    if context.invoked_subcommand:
        return
    with session() as here:
        found = here.yard.devices()
    print_list("devices", found, DEVICE_COLUMNS, as_json)


@devices_command.command("drain")
@click.argument("name")
@json_option
def drain_command(name: str, as_json: bool) -> None:
    """Start nothing more on a device; what runs on it goes on.

    \b
    Example:
      runyard devices drain emulator-5554
    """
    _change_device(name, SlotState.DRAINING, as_json)


@devices_command.command("resume")
@click.argument("name")
@json_option
def resume_device_command(name: str, as_json: bool) -> None:
    """Use a drained or quarantined device again.

    \b
    Example:
      runyard devices resume emulator-5554
    """
    _change_device(name, SlotState.READY, as_json)


def _change_device(name: str, state: SlotState, as_json: bool) -> None:
    with session() as here:
        change = here.yard.drain if state is SlotState.DRAINING else here.yard.resume_device
        changed = change(name)
    if as_json:
        print_json({"device": name, "state": state, "changed": changed})
    else:
        click.echo(f"{printable(name)} is {state}" + ("" if changed else " already"))


def _runs(device: DeviceView) -> str:
    runs = f"{device.job_id} {device.job_name}" if device.job_id else ""
    if device.state is not SlotState.READY and device.since:
        runs = f"{runs}  for {time.time() - device.since:.0f} s: {device.reason or ''}".strip()
    return runs


DEVICE_COLUMNS: list[Column[DeviceView]] = [
    Column("DEVICE", lambda device: device.name),
    Column("TARGET", lambda device: device.target or "any"),
    Column("STATE", lambda device: device.state.value, lambda device: STATE_COLOURS[device.state]),
    Column("BUILD", lambda device: device.app_version_id or "-"),
    Column("RUNS", _runs),
]


@click.command("priority")
@click.argument("id")
@click.argument("priority")
@json_option
def priority_command(id: str, priority: str, as_json: bool) -> None:  # noqa: A002
    """Give the waiting job ID another PRIORITY: 0 to 10, or low, normal, high, critical.

    \b
    Example:
      runyard priority 7k2m high
    """
    try:
        number = int(str(parse_priority(priority)))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    if not 0 <= number <= 10:
        raise InvalidRequest("priority is a whole number from 0 to 10")
    with session() as here:
        job = here.yard.set_priority(id, number)
    if as_json:
        print_json(job.model_dump(mode="json"))
    else:
        click.echo(f"{job.id} has priority {job.priority}")


@click.command("pause")
@click.argument("scope", type=PAUSABLE, required=False)
@click.argument("name", required=False)
@json_option
def pause_command(scope: str | None, name: str | None, as_json: bool) -> None:
    """Start nothing more of an org, a target or a group; what runs goes on.

    Without arguments: show the orgs and targets that are paused; groups shows groups.

    \b
    Examples:
      runyard pause
      runyard pause org acme
      runyard pause target browserstack
      runyard pause group 12
    """
    if scope is None:
        _show_pauses(as_json)
        return
    if name is None:
        raise InvalidRequest("say what to pause: runyard pause org acme")
    _change_pause(Scope(scope), name, True, as_json)


def _show_pauses(as_json: bool) -> None:
    with session() as here:
        pauses = here.yard.pauses()
    if as_json:
        print_json({"pauses": [pause.model_dump(mode="json") for pause in pauses]})
        return
    for pause in pauses:
        click.echo(
            f"{pause.scope} {printable(pause.name)} has been paused since {isoformat(pause.since)}"
        )


@click.command("resume")
@click.argument("scope", type=PAUSABLE)
@click.argument("name")
@json_option
def resume_command(scope: str, name: str, as_json: bool) -> None:
    """Go on with an org, a target or a group that was paused.

    \b
    Example:
      runyard resume org acme
    """
    _change_pause(Scope(scope), name, False, as_json)


def _change_pause(scope: Scope, name: str, is_paused: bool, as_json: bool) -> None:
    with session() as here:
        changed = (here.yard.pause if is_paused else here.yard.resume)(scope, name)
        if not is_paused:
            here.ensure_worker()
    done = "paused" if is_paused else "resumed"
    if as_json:
        print_json({"scope": scope, "name": name, "state": done, "changed": changed})
    else:
        before = "" if changed else " already" if is_paused else ": it was not paused"
        click.echo(f"{scope} {printable(name)} is {done}{before}")


@click.command("limit")
@click.argument("scope", type=click.Choice([scope.value for scope in LIMITABLE]), required=False)
@click.argument("name", required=False)
@click.argument("maximum", required=False)
@click.option("--waiting", metavar="MOST", help="Let at most so many jobs of a user or org wait.")
@json_option
def limit_command(
    scope: str | None, name: str | None, maximum: str | None, waiting: str | None, as_json: bool
) -> None:
    """Let at most MAXIMUM jobs of a user, org, target or key run at once; "none" lifts it.

    A key counts the jobs of all orgs; an org-key, written ORG/KEY, those of one. Jobs may ask for
    the latter, until it is set here. "*" is each user or org that has no --waiting of its own.
    Without arguments: show all limits.

    \b
    Examples:
      runyard limit
      runyard limit org acme 4
      runyard limit key db 1
      runyard limit org-key acme/db 1
      runyard limit org acme none
      runyard limit user max --waiting 500
      runyard limit org '*' --waiting none
    """
    with session() as here:
        master = here.yard
        if scope:
            if not name or not (maximum or waiting):
                raise InvalidRequest("say whose limit and how many: runyard limit org acme 4")
            given = {"running": maximum, "waiting": waiting}
            changes = {what: _maximum(most) for what, most in given.items() if most}
            master.change_limit(Scope(scope), name, changes)
        limits = master.limits()
    if as_json:
        print_json({"limits": [limit.model_dump(mode="json") for limit in limits]})
        return
    for limit in limits:
        click.echo(_limit_line(limit))


def _limit_line(limit: LimitView) -> str:
    words = []
    if limit.running is not None:
        words.append(f"at most {limit.running} at once, {limit.running_now} running")
    if limit.waiting is not None:
        words.append(f"at most {limit.waiting} waiting{_waiting_now(limit)}")
    return f"{limit.scope} {printable(limit.name)}: {'; '.join(words)}"


def _waiting_now(limit: LimitView) -> str:
    if limit.name == "*" or limit.waiting is None:
        return ""
    if limit.waiting_now > limit.waiting:
        return f", more than {limit.waiting} wait"
    return f", {limit.waiting_now} wait"


def _maximum(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdigit():
        raise InvalidRequest(f'the maximum is {text!r}; it is a whole number, or "none"')
    return int(text)
