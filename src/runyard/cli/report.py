"""What ``run`` prints at the end: a table of the tasks, what the failed ones said, a summary."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from runyard.cli.params import printable
from runyard.cli.progress import MANY, new_console
from runyard.cli.show import COLOURS
from runyard.cli.wording import duration, failed_because, short, skipped_because
from runyard.client.requests import JobRequests
from runyard.domain.batch import Batch
from runyard.domain.job import Job, JobSpec, Reason, State
from runyard.service.endings import failure_detail

ROWS = 200  # of the table
TAILS = 10  # failed tasks whose output is shown
TAIL_LINES = 10
TAIL_BYTES = 64 << 10
LONGEST_LINE = 500


@dataclass(frozen=True, slots=True)
class Row:
    """A task as the table shows it."""

    name: str
    job: Job
    why: str


def report(jobs: JobRequests, batch: Batch, specs: Sequence[JobSpec]) -> None:
    """Print the end of a batch of these specs."""
    members = jobs.members([batch.id])
    rows = _rows(jobs, members, specs)
    if rows:
        _print(_table(rows))
    if (hidden := batch.total - batch.passed - len(rows)) > 0:
        click.echo(f"and {hidden} more that did not pass: runyard list --batch {batch.id}")
    failed = [row for row in rows if row.job.state is State.FAILED]
    for row in failed[:TAILS]:
        _print_tail(jobs, row)
    if batch.failed > TAILS:
        click.echo(f"\n… and {batch.failed - TAILS} more failed")
    _print_summary(batch, failed, _installs(members))


def _rows(jobs: JobRequests, members: Sequence[Job], specs: Sequence[JobSpec]) -> list[Row]:
    """All tasks, or of many those with something to say, as far as there is room for them."""
    states = {job.name: job.state for job in members}
    pairs = list(zip(specs, members, strict=True))
    if len(pairs) > MANY:
        pairs = [(spec, job) for spec, job in pairs if _is_telling(job)][:ROWS]
    return [
        Row(printable(spec.name), job, printable(_why(jobs, spec, job, states)))
        for spec, job in pairs
    ]


def _is_telling(job: Job) -> bool:
    has_begun = bool(job.attempts) or job.state is State.SKIPPED
    return has_begun and job.state is not State.PASSED


def _why(jobs: JobRequests, spec: JobSpec, job: Job, states: dict[str, State]) -> str:
    tries = f" (attempt {len(job.attempts)})" if len(job.attempts) > 1 else ""
    if job.state is State.SKIPPED:
        return skipped_because(spec, states)
    if job.state is State.CANCELLED:
        return "while it ran" if job.attempts else "before it started"
    if job.state is State.FAILED:
        has_detail = job.reason is Reason.NOT_STARTED
        detail = failure_detail(jobs.events([job.id])) if has_detail else None
        last = job.attempts[-1] if job.attempts else None
        return failed_because(spec, job.reason, last, detail) + tries
    return tries.strip(" ()")


# The table.


def _table(rows: Sequence[Row]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("TASK", no_wrap=True, overflow="ellipsis", min_width=4)
    table.add_column("STATE", no_wrap=True)
    table.add_column("SECONDS", no_wrap=True, justify="right")
    has_places = any(_place(row.job) for row in rows)
    if has_places:
        table.add_column("DEVICE", no_wrap=True)
    if any(row.why for row in rows):
        table.add_column("REASON", overflow="fold")
    for row in rows:
        state = Text(row.job.state.value, COLOURS[row.job.state])
        cells = [Text(row.name), state, Text(_seconds(row.job))]
        if has_places:
            cells.append(Text(_place(row.job)))
        cells.append(Text(row.why))
        table.add_row(*cells[: len(table.columns)])
    return table


def _place(job: Job) -> str:
    """The device that a job had last, if it needed one with a build."""
    if not job.app_version_id or not job.attempts:
        return ""
    last = job.attempts[-1]
    return printable(
        f"{last.slot} (installed {job.app_version_id})" if last.setup_seconds else last.slot or ""
    )


def _seconds(job: Job) -> str:
    return "" if job.seconds is None else f"{job.seconds:.1f}"


def _print(what: RenderableType) -> None:
    """In a file, lines are as long as they need to be and end where their text ends."""
    is_terminal = sys.stdout.isatty()
    console = new_console(width=None if is_terminal else 10_000)
    with console.capture() as text:
        console.print(what)
    lines = text.get().splitlines()
    click.echo("\n".join(line.rstrip() for line in lines), color=True)


# What failed tasks said.


def _print_tail(jobs: JobRequests, row: Row) -> None:
    stream, lines = "stderr", last_lines(jobs.tail(row.job, "stderr", TAIL_BYTES))
    if not lines:
        stream, lines = "stdout", last_lines(jobs.tail(row.job, "stdout", TAIL_BYTES))
    heading = Text.assemble("\n", (short(row.name), "bold"), (f" ({row.job.id})", "dim"))
    heading.append(" failed: ").append(row.why, "red")
    if lines:
        heading.append(f"; its last lines on {stream}:", "dim")
    elif row.job.reason is not Reason.NOT_STARTED:
        heading.append("; it wrote nothing", "dim")
    _print(heading)
    for line in lines:
        click.echo(f"    {line}")


def last_lines(end: bytes) -> list[str]:
    """The last lines of a log, fit for a terminal: no control sequences, none without end."""
    text = end.decode(errors="replace")
    lines = [_fit(line) for line in text.rstrip().split("\n")[-TAIL_LINES:]]
    return lines if any(lines) else []


_CONTROL_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])"
)


def _fit(line: str) -> str:
    """What of a line a terminal would show: of a progress bar that redraws itself, its last
    state."""
    shown = _CONTROL_SEQUENCE.sub("", line).rstrip("\r").rpartition("\r")[2].expandtabs()
    return printable(shown if len(shown) <= LONGEST_LINE else shown[:LONGEST_LINE] + "…").rstrip()


# The last lines.


def _installs(members: Sequence[Job]) -> str:
    """How many installs there were, and how many attempts found their build installed."""
    attempts = [a for job in members if job.app_version_id for a in job.attempts]
    installs = sum(a.setup_seconds is not None for a in attempts)
    if not installs:
        return ""
    word = "install" if installs == 1 else "installs"
    return f"; {installs} {word}, {len(attempts) - installs} saved"


def _print_summary(batch: Batch, failed: Sequence[Row], installs: str) -> None:
    states = (State.PASSED, State.FAILED, State.SKIPPED, State.CANCELLED)
    counts = [(state, int(getattr(batch, state.value))) for state in states]
    parts = [
        (f"{n} {state.value}", f"bold {COLOURS[state]}")
        for state, n in counts
        if n or (state is State.PASSED and batch.passed == batch.total)
    ]
    line = Text("\n").append_text(Text(", ").join(Text(*part) for part in parts))
    _print(line.append(f" in {duration(batch.seconds)}{installs}"))
    if failed:
        click.echo(f"more: runyard logs {failed[0].job.id}")
