"""``schedule``: templates that run by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from runyard import configfile
from runyard.cli.lists import Column, print_list
from runyard.cli.named import all_of, org_option, removed
from runyard.cli.params import (
    config_option,
    json_option,
    make_sure,
    parameter_option,
    printable,
    yes_option,
)
from runyard.cli.session import print_json, session
from runyard.cli.streams import reader_may_leave
from runyard.clock import isoformat
from runyard.domain.timetable import Missed, Overlap, Schedule

COLUMNS: list[Column[Schedule]] = [
    Column("NAME", lambda schedule: schedule.name),
    Column("ORG", lambda schedule: schedule.org_id),
    Column("TEMPLATE", lambda schedule: schedule.template),
    Column("CRON", lambda schedule: schedule.cron),
    Column(
        "NEXT",
        lambda schedule: "paused" if schedule.is_paused else isoformat(schedule.next_at),
        lambda schedule: "yellow" if schedule.is_paused else None,
    ),
    Column(
        "LAST BATCH",
        lambda schedule: schedule.last_error or schedule.last_batch or "-",
        lambda schedule: "red" if schedule.last_error else None,
    ),
]


@click.group("schedule", invoke_without_command=True)
@json_option
@click.pass_context
def schedule_command(context: click.Context, as_json: bool) -> None:
    """Run templates at times of the calendar.

    A worker does it: one is started in the background and stays while there is a schedule that is
    not paused. After a restart of the machine the next command that starts a worker brings it
    back, or "runyard worker" run as a service.

    \b
    Examples:
      runyard schedule add nightly --template tests --cron "0 2 * * *" --timezone Europe/Prague
      runyard schedule list         or just: runyard schedule
      runyard schedule next nightly
    """
    if not context.invoked_subcommand:
        _list(as_json)


@schedule_command.command("add")
@click.argument("name")
@click.option("--template", required=True, help="What to run.")
@click.option("--cron", required=True, help='When: "minute hour day month weekday".')
@click.option("--timezone", default="UTC", show_default=True, help="Whose clocks count.")
@parameter_option
@click.option(
    "--missed",
    type=click.Choice([one.value for one in Missed]),
    default=Missed.ONCE.value,
    show_default=True,
    help="What to do about times at which no worker lived.",
)
@click.option(
    "--overlap",
    type=click.Choice([one.value for one in Overlap]),
    default=Overlap.SKIP.value,
    show_default=True,
    help="What to do when the last run is not over.",
)
@org_option
@config_option
@json_option
def add_command(
    name: str,
    template: str,
    cron: str,
    timezone: str,
    parameters: Sequence[tuple[str, str]],
    missed: str,
    overlap: str,
    org_id: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Run a template whenever the cron expression is due.

    \b
    Examples:
      runyard schedule add nightly --template tests --cron "0 2 * * *" -p branch=main
      runyard schedule add smoke --template smoke --cron "*/15 8-18 * * mon-fri"
    """
    configfile.load(config_path)  # a worker that is started now could only die of its faults
    with session(config_path) as here:
        added = here.schedules.add(
            name,
            template,
            cron,
            timezone=timezone,
            parameters=dict(parameters),
            missed=missed,
            overlap=overlap,
            org_id=org_id,
        )
        here.ensure_worker()
    _say(added, "is added", as_json)


@schedule_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the schedules, with what they did last and when they are due next.

    \b
    Example:
      runyard schedule list --json
    """
    _list(as_json)


@schedule_command.command("pause")
@click.argument("name")
@org_option
@json_option
def pause_command(name: str, org_id: str | None, as_json: bool) -> None:
    """Let a schedule do nothing until it is resumed.

    \b
    Example:
      runyard schedule pause nightly
    """
    with session() as here:
        changed = here.schedules.pause(name, org_id)
    _say(changed, "is paused", as_json)


@schedule_command.command("resume")
@click.argument("name")
@org_option
@json_option
def resume_command(name: str, org_id: str | None, as_json: bool) -> None:
    """Let a paused schedule go on, from the next time that is due.

    \b
    Example:
      runyard schedule resume nightly
    """
    with session() as here:
        changed = here.schedules.resume(name, org_id)
        here.ensure_worker()
    _say(changed, "goes on", as_json)


@schedule_command.command("remove")
@click.argument("name")
@org_option
@yes_option
@json_option
def remove_command(name: str, org_id: str | None, is_sure: bool, as_json: bool) -> None:
    """Forget a schedule; what it submitted stays.

    \b
    Example:
      runyard schedule remove nightly
    """
    make_sure(f"Remove the schedule {printable(name)}?", is_sure)
    with session() as here:
        here.schedules.remove(name, org_id)
    removed("schedule", name, as_json)


@schedule_command.command("next")
@click.argument("name")
@click.option("--count", type=click.IntRange(1, 1000), default=5, show_default=True)
@org_option
@json_option
def next_command(name: str, count: int, org_id: str | None, as_json: bool) -> None:
    """Print the next times at which a schedule is due, on the clocks of its time zone.

    \b
    Example:
      runyard schedule next nightly --count 10
    """
    with session() as here:
        times = here.schedules.upcoming(name, count, org_id)
    if as_json:
        print_json({"schedule": name, "next": [time.isoformat() for time in times]})
        return
    with reader_may_leave():
        for time in times:
            click.echo(_spelled(time))


def _list(as_json: bool) -> None:
    with session() as here:
        found = all_of(here.schedules.page)
    print_list("schedules", found, COLUMNS, as_json)


def _say(schedule: Schedule, done: str, as_json: bool) -> None:
    if as_json:
        print_json(schedule.model_dump(mode="json"))
        return
    due = "" if schedule.is_paused else f"; it is due next at {isoformat(schedule.next_at)}"
    click.echo(f"schedule {schedule.name} {done}{due}")


def _spelled(time: datetime) -> str:
    return f"{time:%a} {time.isoformat(sep=' ', timespec='minutes')}"
