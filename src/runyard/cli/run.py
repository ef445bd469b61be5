"""``run``: a file of tasks, here and now, until all of them are over."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import click

from runyard.cli import progress
from runyard.cli.params import config_option, json_option, parameter_option, simulate_option
from runyard.cli.session import session
from runyard.cli.streams import reader_may_leave
from runyard.client.arguments import texts
from runyard.client.requests import Requests
from runyard.domain.batch import Batch
from runyard.domain.job import Job
from runyard.service import jobfile
from runyard.service.jobfile import JobFile

if TYPE_CHECKING:
    from runyard.cli.runs import Run

EXAMPLES = """\b
Examples:
  runyard run build.json                          run all of it, at most 32 tasks at once
  runyard run nightly.yaml --slots 4 --fail-fast  few at once, and stop at the first failure
  runyard run build.json --schema schema.json     check the file first
  runyard run phones.yaml --simulate              on phones and emulators that are only played
  generate-tasks | runyard run - --json | jq .batch

\b
build.json:
  {"tasks": [
    {"name": "compile", "type": "exec", "arguments": "make all"},
    {"name": "check", "type": "eval", "arguments": "print(6 * 7)"},
    {"name": "test", "type": "exec", "arguments": ["make", "test"],
     "dependencies": ["compile", "check"]}
  ]}

\b
A task may also have cwd, env, timeout, silent_timeout, max_attempts, retry_delay, retry_on,
priority, labels …, and the file a name and defaults for all tasks.

\b
Exit codes: 0 all passed, 1 something did not, 2 the file is wrong and nothing was run,
130 interrupted (143 by TERM, 129 by HUP).
"""


@click.command("run", epilog=EXAMPLES)
@click.argument("file", metavar="FILE")
@click.option("--schema", metavar="SCHEMA", help="A JSON schema that the file must fit.")
@click.option("--slots", type=click.IntRange(1, 1000), help="Tasks at once.  [default: up to 32]")
@click.option("--fail-fast", is_flag=True, help="Cancel the rest at the first failure.")
@click.option("--name", help="What to call the batch.  [default: as the file]")
@parameter_option
@simulate_option
@config_option
@json_option
def run_command(
    file: str,
    schema: str | None,
    slots: int | None,
    fail_fast: bool,
    name: str | None,
    parameters: Sequence[tuple[str, str]],
    simulate: bool,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Run the tasks in FILE with the greatest concurrency that their dependencies allow.

    FILE is JSON, TOML or YAML; - reads standard input. A task starts when all that it depends on
    has passed, and is skipped if one of them does not. Ctrl-C cancels what is left and ends what
    runs; a second one does not wait for it to end by itself.
    """
    found = jobfile.named(jobfile.load(file, schema, parameters=dict(parameters)), name)
    how = {"slots": slots, "simulate": simulate, "config_path": config_path}
    with session(config_path) as here:
        run = _run(here, found, fail_fast=fail_fast, **how)
        with contextlib.nullcontext() if as_json else progress.shown(run.board, _reporting):
            batch = run.work()
        with reader_may_leave():
            if as_json:
                _print_json(here, batch)
            else:
                _report(here, batch, found)
    raise click.exceptions.Exit(run.exit_code(batch))


def _run(here: Requests, file: JobFile, *, fail_fast: bool, **how: Any) -> Run:
    """A run on this machine, with a worker of its own, or one on the server, with the workers
    there. Each imports what the other has no use for."""
    if here.is_local:
        from runyard.cli.foreground import Foreground

        return Foreground(cast(Any, here), file, fail_fast=fail_fast, **how)
    from runyard.cli.remote_run import RemoteRun

    return RemoteRun(cast(Any, here), file, fail_fast=fail_fast, **how)


# What is printed.


def _report(here: Requests, batch: Batch, found: JobFile) -> None:
    _reporting().report(here.jobs, batch, found.specs)


def _reporting() -> ModuleType:
    """Slow to import, and needed at the end: imported while the tasks run."""
    from runyard.cli import report

    return report


def _print_json(here: Requests, batch: Batch) -> None:
    """Piece by piece: the output of all tasks at once may be more than there is memory."""
    out = sys.stdout.buffer
    top = batch.model_dump(mode="json")
    out.write(f'{{"batch": {_json(top)}, "jobs": ['.encode())
    for number, job in enumerate(here.jobs.members([batch.id])):
        out.write(b",\n" if number else b"\n")
        out.write(_json(_with_output(here, job)).encode())
    out.write(b"]}\n")
    out.flush()


def _with_output(here: Requests, job: Job) -> dict[str, Any]:
    out, err = texts(here.jobs.logs(job.id))
    return {**job.model_dump(mode="json"), "stdout": out, "stderr": err}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
