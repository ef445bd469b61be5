"""``status``, ``list``, ``logs`` and ``explain``: everything that only looks."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from runyard.cli.lists import Column, print_page
from runyard.cli.params import Pair, json_option, printable
from runyard.cli.session import print_json, session
from runyard.cli.why import told_why
from runyard.clock import isoformat
from runyard.domain.batch import Batch
from runyard.domain.ids import is_batch_id
from runyard.domain.job import Attempt, Job, State
from runyard.domain.listing import JobFilter
from runyard.errors import InvalidRequest
from runyard.service.endings import ending, failure

COLOURS = {
    State.BLOCKED: "bright_black",
    State.DELAYED: "bright_black",
    State.QUEUED: "bright_black",
    State.RUNNING: "yellow",
    State.PASSED: "green",
    State.FAILED: "red",
    State.CANCELLED: "magenta",
    State.SKIPPED: "bright_black",
}

COLUMNS: list[Column[Job]] = [
    Column("ID", lambda job: job.id),
    Column("STATE", lambda job: job.state.value, lambda job: COLOURS[job.state]),
    Column("PRI", lambda job: job.priority),
    Column("TARGET", lambda job: job.target),
    Column("SECONDS", lambda job: job.seconds),
    Column("NAME", lambda job: job.name),
]


def coloured(state: State, text: str | None = None) -> str:
    """A text, or the state's own word, in the state's colour."""
    return click.style(text or state.value, fg=COLOURS[state])


@click.command("status")
@click.argument("id", required=False, metavar="ID")
@click.option("--job-id", help="The same, as an option.")
@json_option
def status_command(id: str | None, job_id: str | None, as_json: bool) -> None:  # noqa: A002
    """Show the job or batch ID.

    \b
    Examples:
      runyard status 7k2m
      runyard status --job-id=7k2m9qx41vbtc --json
    """
    wanted = id or job_id
    if not wanted:
        raise click.UsageError("say which job: runyard status ID", click.get_current_context())
    with session() as here:
        if is_batch_id(wanted):
            batch = here.jobs.get_batch(wanted)
            print_json(batch.model_dump(mode="json")) if as_json else _print_batch(batch)
        else:
            job = here.jobs.get(wanted)
            print_json(job.model_dump(mode="json")) if as_json else _print_job(job)


@click.command("list")
@click.option("--state", multiple=True, type=click.Choice([s.value for s in State]))
@click.option("--batch", metavar="ID", help="Members of a batch.")
@click.option("--org-id")
@click.option("--app-version-id")
@click.option("--target")
@click.option("--submitted-by", metavar="USER")
@click.option("--q", "text", default="", metavar="TEXT", help="Part of the name.")
@click.option("--label", type=Pair(bare=True), multiple=True, metavar="K[=V]")
@click.option("--limit", type=int, default=20, show_default=True, help="At most 1000.")
@click.option("--cursor", help="Go on where an earlier list ended.")
@json_option
def list_command(
    state: tuple[str, ...],
    batch: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
    **only: Any,
) -> None:
    """List jobs, newest first.

    \b
    Examples:
      runyard list --state running --state queued
      runyard list --batch b-7k2m --state failed --json
      runyard list --label nightly --limit 100
    """
    labels = dict(only.pop("label"))
    wanted = JobFilter(frozenset(map(State, state)), batch, labels=labels, **only)
    with session() as here:
        page = here.jobs.page(wanted, limit, cursor)
    print_page("jobs", page.jobs, COLUMNS, as_json, page.next)


@click.command("logs")
@click.argument("id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job is finished.")
@click.option("--attempt", type=int, help="Which attempt.  [default: the last]")
@click.option("--setup", is_flag=True, help="What preparing its device had to say.")
@json_option
def logs_command(
    id: str,  # noqa: A002
    follow: bool,
    attempt: int | None,
    setup: bool,
    as_json: bool,
) -> None:
    """Print what job ID wrote: its stdout on stdout, its stderr on stderr.

    \b
    Examples:
      runyard logs 7k2m | less
      runyard logs -f 7k2m
      runyard logs --attempt 1 --json 7k2m
      runyard logs --setup 7k2m          how the install of its build went
    """
    with session() as here:
        if follow and as_json:
            with told_why(here, [id]):
                here.jobs.wait([id], idle=here.ensure_worker)
        elif follow:
            if attempt is not None or setup:
                raise InvalidRequest("-f follows the last attempt: leave --attempt and --setup out")
            with told_why(here, [id]):
                for stream, data in here.jobs.follow(id):
                    _write(stream, data)
            return
        out, err = here.jobs.logs(id, attempt, "setup" if setup else "")
    if as_json:
        text = {"stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}
        print_json(text)
        return
    _write("stdout", out)
    _write("stderr", err)


@click.command("explain")
@click.argument("id", metavar="ID")
@json_option
def explain_command(id: str, as_json: bool) -> None:  # noqa: A002
    """Say why job ID has not started, or how it ended.

    \b
    Example:
      runyard explain 7k2m
    """
    with session() as here:
        found = here.explain(id)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        click.echo(printable(found.text))


def _write(stream: str, data: bytes) -> None:
    file = sys.stdout.buffer if stream == "stdout" else sys.stderr.buffer
    file.write(data)
    file.flush()


def _print_job(job: Job) -> None:
    rows = [
        ("job", job.id),
        ("name", printable(job.name)),
        ("state", coloured(job.state, ending(job) if job.is_final else None)),
        ("command", printable(_command(job))),
        ("target", printable(_target(job))),
        ("batch", job.batch_id),
        ("depends on", ", ".join(job.depends_on)),
        ("labels", printable(", ".join(f"{k}={v}" if v else k for k, v in job.labels.items()))),
        ("submitted", isoformat(job.submitted_at)),
        ("started", isoformat(job.started_at)),
        ("finished", isoformat(job.finished_at)),
    ]
    for label, value in rows:
        if value:
            click.echo(f"{label + ':':<12}{value}")
    for attempt in job.attempts:
        click.echo(f"{'attempt ' + str(attempt.number) + ':':<12}{_attempt(attempt)}")


def _target(job: Job) -> str:
    return job.target + (f", build {job.app_version_id}" if job.app_version_id else "")


def _command(job: Job) -> str:
    return job.command if isinstance(job.command, str) else " ".join(job.command)


def _attempt(attempt: Attempt) -> str:
    words = [attempt.state.value]
    if attempt.reason:
        words[0] += f": {failure(attempt.reason, attempt)}"
    if attempt.started_at is not None:
        words.append(f"{(attempt.finished_at or time.time()) - attempt.started_at:.2f} s")
    if attempt.cpu_seconds is not None:
        words.append(f"{attempt.cpu_seconds:.2f} s CPU")
    if attempt.max_rss_bytes:
        words.append(f"{attempt.max_rss_bytes / 2**20:.0f} MiB")
    return ", ".join([*words, f"{attempt.worker} slot {attempt.slot}"])


def _print_batch(batch: Batch) -> None:
    click.echo(f"{'batch:':<12}{batch.id} {printable(batch.name)}".rstrip())
    if batch.description:
        click.echo(f"{'about:':<12}{printable(batch.description)}")
    click.echo(f"{'state:':<12}{coloured(batch.state)}")
    for word in ("total", "passed", "failed", "skipped", "cancelled", "running", "waiting"):
        click.echo(f"{word + ':':<12}{getattr(batch, word)}")
    click.echo(f"{'seconds:':<12}{batch.seconds:.1f}")
