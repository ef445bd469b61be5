"""``wait``, ``cancel``, ``retry``, ``force-complete`` and ``purge``."""

from __future__ import annotations

import click

from runyard.cli import show
from runyard.cli.params import (
    Duration,
    ids_argument,
    json_option,
    make_sure,
    printable,
    yes_option,
)
from runyard.cli.session import print_json, session
from runyard.cli.streams import reader_may_leave
from runyard.cli.why import told_why
from runyard.domain.ids import is_batch_id
from runyard.domain.job import Job, State
from runyard.service.endings import ending


@click.command("wait")
@ids_argument
@click.option("--timeout", type=Duration(), help="Give up after so long; the jobs go on.")
@json_option
def wait_command(ids: tuple[str, ...], timeout: float | None, as_json: bool) -> None:
    """Wait until the jobs, or all jobs of the batches, are finished.

    Exits 0 if all of them passed and 1 if not.

    \b
    Examples:
      runyard wait 7k2m 9xq1
      runyard wait --timeout 10m b-7k2m
    """
    with session() as here, told_why(here, ids):
        jobs = here.jobs.wait(ids, timeout, here.ensure_worker)
    with reader_may_leave():
        _print(jobs, as_json)
    if any(job.state is not State.PASSED for job in jobs):
        raise click.exceptions.Exit(1)


@click.command("cancel")
@ids_argument
@json_option
def cancel_command(ids: tuple[str, ...], as_json: bool) -> None:
    """Cancel jobs, or all jobs of batches. Finished ones stay as they are.

    \b
    Example:
      runyard cancel 7k2m b-9xq1
    """
    with session() as here:
        _print(here.jobs.cancel(ids), as_json)


@click.command("retry")
@ids_argument
@json_option
def retry_command(ids: tuple[str, ...], as_json: bool) -> None:
    """Run jobs that failed, were cancelled or skipped again; of a batch, all of those.

    \b
    Example:
      runyard retry b-7k2m
    """
    with session() as here:
        jobs = here.jobs.retry(ids)
        here.ensure_worker()
        _print(jobs, as_json)


@click.command("force-complete")
@ids_argument
@json_option
def force_complete_command(ids: tuple[str, ...], as_json: bool) -> None:
    """Declare jobs passed that have not ended; what waits for them goes on, what runs is ended.

    \b
    Example:
      runyard force-complete 7k2m
    """
    with session() as here:
        jobs = here.jobs.complete(ids)
        here.ensure_worker()
        _print(jobs, as_json)


@click.command("purge")
@ids_argument
@yes_option
@json_option
def purge_command(ids: tuple[str, ...], is_sure: bool, as_json: bool) -> None:
    """Delete jobs that have ended, or batches with all their jobs, and what they wrote: now, and
    for good.

    \b
    Examples:
      runyard purge 7k2m
      runyard purge b-9xq1 --yes
    """
    with session() as here:
        # All are looked up before any is deleted: a slip of the pen shall cost nothing.
        whole = [
            here.jobs.get_batch(one).id if is_batch_id(one) else here.jobs.get(one).id
            for one in ids
        ]
        make_sure(f"Delete {', '.join(whole)} for good, with all output?", is_sure)
        for one in whole:
            (here.jobs.purge_batch if is_batch_id(one) else here.jobs.purge)(one)
            if not as_json:
                click.echo(f"{one} is deleted")
    if as_json:
        print_json({"purged": whole})


def _print(jobs: list[Job], as_json: bool) -> None:
    if as_json:
        print_json({"jobs": [job.model_dump(mode="json") for job in jobs]})
        return
    for job in jobs:
        state = show.coloured(job.state, ending(job) if job.is_final else job.state.value)
        click.echo(f"{job.id}  {state}  {printable(job.name)}")
