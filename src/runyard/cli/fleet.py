"""``workers``, ``targets``, ``stats`` and ``audit``."""

from __future__ import annotations

import time

import click

from runyard.cli.params import Duration, json_option, printable
from runyard.cli.session import print_json, session
from runyard.clock import isoformat
from runyard.domain.listing import AuditFilter
from runyard.domain.user import AuditEntry


@click.command("workers")
@json_option
def workers_command(as_json: bool) -> None:
    """Show the workers that live: where they run, and what they serve.

    \b
    Examples:
      runyard workers
      runyard workers --json
    """
    with session() as here:
        found = here.yard.workers()
    if as_json:
        print_json({"workers": [worker.model_dump(mode="json") for worker in found]})
        return
    click.echo(f"{'WORKER':<28} {'HOST':<20} {'PID':>7} {'SLOTS':>5}  {'SINCE':<20} TARGETS")
    for worker in found:
        targets = "any" if worker.targets is None else ", ".join(worker.targets)
        click.echo(
            f"{printable(worker.id):<28} {printable(worker.host):<20} {worker.pid:>7}"
            f" {worker.slots:>5}  {isoformat(worker.started_at) or '':<20} {printable(targets)}"
        )


@click.command("targets")
@json_option
def targets_command(as_json: bool) -> None:
    """Show the targets that slots serve now, and how many are ready.

    \b
    Examples:
      runyard targets
      runyard targets --json
    """
    with session() as here:
        found = here.yard.targets()
    if as_json:
        print_json({"targets": [target.model_dump(mode="json") for target in found]})
        return
    click.echo(f"{'TARGET':<20} {'SLOTS':>6} {'READY':>6}")
    for target in found:
        click.echo(f"{printable(target.name):<20} {target.slots:>6} {target.ready:>6}")


@click.command("stats")
@json_option
def stats_command(as_json: bool) -> None:
    """Show how many jobs each user ever submitted, and what became of them.

    \b
    Examples:
      runyard stats
      runyard stats --json
    """
    with session() as here:
        found = here.jobs.stats()
    if as_json:
        print_json({"users": [user.model_dump(mode="json") for user in found]})
        return
    columns = ("submitted", "waiting", "running", "passed", "failed", "cancelled", "skipped")
    click.echo(f"{'USER':<20} {'ORG':<16}" + "".join(f" {name.upper():>9}" for name in columns))
    for user in found:
        counts = "".join(f" {getattr(user, name):>9}" for name in columns)
        click.echo(f"{printable(user.user) or '-':<20} {printable(user.org_id):<16}{counts}")


@click.command("audit")
@click.option("--actor", metavar="USER", help="Who did it.")
@click.option("--action", help="What was done, such as cancel or user.add.")
@click.option("--subject", help="To what, such as the id of a job.")
@click.option("--since", type=Duration(), metavar="AGO", help="Not longer ago: 90, 10m, 2h.")
@click.option("--limit", type=click.IntRange(1, 999), default=50, show_default=True)
@click.option("--before", type=int, metavar="SEQ", help="Go on where an earlier list ended.")
@json_option
def audit_command(
    actor: str | None,
    action: str | None,
    subject: str | None,
    since: float | None,
    limit: int,
    before: int | None,
    as_json: bool,
) -> None:
    """Show who changed what, and from where, the newest first.

    \b
    Examples:
      runyard audit
      runyard audit --actor max --since 24h
      runyard audit --action limit --json
    """
    earliest = None if since is None else time.time() - since
    wanted = AuditFilter(actor, action, subject, earliest)
    with session() as here:
        found = here.accounts.audit(wanted, limit + 1, before)
    shown = found[:limit]
    more = shown[-1].seq if len(found) > limit else None
    if as_json:
        print_json({"entries": [entry.model_dump(mode="json") for entry in shown], "next": more})
        return
    for entry in shown:
        click.echo(_audit_line(entry))
    if more is not None:
        click.echo(f"more: the same with --before {more}", err=True)


def _audit_line(entry: AuditEntry) -> str:
    what = f"{entry.action} {printable(entry.subject)}"
    where = f"  from {printable(entry.address)}" if entry.address else ""
    return f"{isoformat(entry.at)}  {printable(entry.actor):<16} {what}{where}"
