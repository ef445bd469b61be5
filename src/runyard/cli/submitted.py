"""What commands that submit a batch do with it: tell its id, and wait for it if they shall."""

from __future__ import annotations

import click

from runyard.cli import show
from runyard.cli.params import printable
from runyard.cli.session import print_json
from runyard.cli.streams import reader_may_leave
from runyard.cli.why import told_why
from runyard.client.requests import Requests
from runyard.domain.batch import Batch
from runyard.domain.job import Job, State
from runyard.service.endings import ending


def batch_to_the_end(here: Requests, batch: Batch, *, wait: bool, as_json: bool) -> None:
    """Print the batch's id, see that somebody works, and with ``wait`` exit 1 unless all of its
    jobs pass. With ``as_json`` print nothing but the batch, at the end."""
    with reader_may_leave():
        if not as_json:
            click.echo(batch.id)  # before anything else can fail: the batch is there
    here.ensure_worker()
    jobs = _wait(here, batch) if wait else []
    batch = here.jobs.get_batch(batch.id) if wait else batch
    with reader_may_leave():
        if as_json:
            print_json(batch.model_dump(mode="json"))
        elif wait:
            _tell(batch, jobs)
    if wait and batch.passed < batch.total:
        raise click.exceptions.Exit(1)


def _wait(here: Requests, batch: Batch) -> list[Job]:
    try:
        with told_why(here, [batch.id]):
            return here.jobs.wait([batch.id], idle=here.ensure_worker)
    except KeyboardInterrupt:
        click.echo(f"batch {batch.id} goes on; runyard cancel {batch.id} ends it", err=True)
        raise


def _tell(batch: Batch, jobs: list[Job]) -> None:
    for job in jobs:
        if job.state is not State.PASSED:
            state = show.coloured(job.state, ending(job))
            click.echo(f"{job.id}  {state}  {printable(job.name)}", err=True)
    words = (State.PASSED, State.FAILED, State.SKIPPED, State.CANCELLED)
    counts = [f"{count} {word}" for word in words if (count := getattr(batch, word))]
    click.echo(", ".join(counts) or "no jobs", err=True)
