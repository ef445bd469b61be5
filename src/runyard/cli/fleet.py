"""``workers``, ``targets``, ``stats`` and ``audit``."""

from __future__ import annotations

import time

import click

from runyard.cli.lists import Column, print_list, print_page
from runyard.cli.params import Duration, json_option
from runyard.cli.session import session
from runyard.clock import isoformat
from runyard.domain.listing import AuditFilter
from runyard.domain.user import AuditEntry
from runyard.domain.yard import TargetView, UserStats, WorkerView

WORKER_COLUMNS: list[Column[WorkerView]] = [
    Column("WORKER", lambda worker: worker.id),
    Column("HOST", lambda worker: worker.host),
    Column("PID", lambda worker: worker.pid),
    Column("SLOTS", lambda worker: worker.slots),
    Column("SINCE", lambda worker: isoformat(worker.started_at)),
    Column(
        "TARGETS",
        lambda worker: "any" if worker.targets is None else ", ".join(worker.targets),
    ),
]
TARGET_COLUMNS: list[Column[TargetView]] = [
    Column("TARGET", lambda target: target.name),
    Column("SLOTS", lambda target: target.slots),
    Column("READY", lambda target: target.ready),
]
STATS_COLUMNS: list[Column[UserStats]] = [
    Column("USER", lambda user: user.user or "-"),
    Column("ORG", lambda user: user.org_id),
    Column("SUBMITTED", lambda user: user.submitted),
    Column("WAITING", lambda user: user.waiting),
    Column("RUNNING", lambda user: user.running),
    Column("PASSED", lambda user: user.passed),
    Column("FAILED", lambda user: user.failed),
    Column("CANCELLED", lambda user: user.cancelled),
    Column("SKIPPED", lambda user: user.skipped),
]
AUDIT_COLUMNS: list[Column[AuditEntry]] = [
    Column("AT", lambda entry: isoformat(entry.at)),
    Column("ACTOR", lambda entry: entry.actor),
    Column("ACTION", lambda entry: entry.action),
    Column("SUBJECT", lambda entry: entry.subject),
    Column("FROM", lambda entry: entry.address),
]


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
    print_list("workers", found, WORKER_COLUMNS, as_json)


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
    print_list("targets", found, TARGET_COLUMNS, as_json)


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
    print_list("users", found, STATS_COLUMNS, as_json)


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
    print_page("entries", shown, AUDIT_COLUMNS, as_json, more, "--before")
