"""``batches``."""

from __future__ import annotations

import click

from runyard.cli import show
from runyard.cli.params import json_option, printable
from runyard.cli.session import print_json, session
from runyard.cli.streams import reader_may_leave
from runyard.domain.batch import Batch
from runyard.domain.job import State
from runyard.domain.listing import BatchFilter

STATES = (State.QUEUED, State.RUNNING, State.PASSED, State.FAILED, State.CANCELLED)


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
    if as_json:
        batches = [batch.model_dump(mode="json") for batch in page.batches]
        print_json({"batches": batches, "next": page.next})
        return
    with reader_may_leave():
        click.echo(
            f"{'ID':<16}{'STATE':<11}{'TOTAL':>6}{'PASSED':>8}{'FAILED':>8}{'LEFT':>6}{'SECONDS':>9}"
            "  NAME"
        )
        for batch in page.batches:
            click.echo(_line(batch))
        if page.next:
            click.echo(f"more: the same with --cursor {page.next}", err=True)


def _line(batch: Batch) -> str:
    left = batch.running + batch.waiting
    return (
        f"{batch.id:<16}{show.coloured(batch.state, f'{batch.state.value:<11}')}{batch.total:>6}"
        f"{batch.passed:>8}{batch.failed:>8}{left:>6}{batch.seconds:>9.1f}  {printable(batch.name)}"
    )
