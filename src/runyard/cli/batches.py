"""``batches``."""

from __future__ import annotations

import click

from runyard.cli.lists import Column, print_page
from runyard.cli.params import json_option
from runyard.cli.session import session
from runyard.cli.show import COLOURS
from runyard.domain.batch import Batch
from runyard.domain.job import State
from runyard.domain.listing import BatchFilter

STATES = (State.QUEUED, State.RUNNING, State.PASSED, State.FAILED, State.CANCELLED)

COLUMNS: list[Column[Batch]] = [
    Column("ID", lambda batch: batch.id),
    Column("STATE", lambda batch: batch.state.value, lambda batch: COLOURS[batch.state]),
    Column("TOTAL", lambda batch: batch.total),
    Column("PASSED", lambda batch: batch.passed),
    Column("FAILED", lambda batch: batch.failed),
    Column("LEFT", lambda batch: batch.running + batch.waiting),
    Column("SECONDS", lambda batch: batch.seconds),
    Column("NAME", lambda batch: batch.name),
]


@click.command("batches")
@click.option("--state", multiple=True, type=click.Choice([state.value for state in STATES]))
@click.option("--org-id")
@click.option("--submitted-by", metavar="USER")
@click.option("--q", "text", default="", metavar="TEXT", help="Part of the name.")
@click.option("--limit", type=int, default=20, show_default=True, help="At most 1000.")
@click.option("--cursor", help="Go on where an earlier list ended.")
@json_option
def batches_command(
    state: tuple[str, ...],
    org_id: str | None,
    submitted_by: str | None,
    text: str,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List batches, newest first, with how many of their jobs ended how.

    \b
    Examples:
      runyard batches --state running
      runyard batches --q nightly --limit 5 --json
    """
    wanted = BatchFilter(frozenset(map(State, state)), org_id, submitted_by, text)
    with session() as here:
        page = here.jobs.batch_page(wanted, limit, cursor)
    print_page("batches", page.batches, COLUMNS, as_json, page.next)
