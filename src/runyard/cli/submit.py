"""``submit``."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import click

from runyard import configfile
from runyard.cli import show
from runyard.cli.params import (
    Axis,
    Combination,
    Duration,
    Pair,
    config_option,
    json_option,
    printable,
)
from runyard.cli.session import print_json, session
from runyard.cli.streams import reader_may_leave
from runyard.cli.submitted import batch_to_the_end
from runyard.cli.why import told_why
from runyard.client.requests import Requests
from runyard.domain import written
from runyard.domain.job import Job, State
from runyard.errors import InvalidRequest
from runyard.service import drafts

EXAMPLES = """\b
Examples:
  runyard submit -- pytest -q tests/unit
  runyard submit 'make all && make install'      one word with spaces: a shell line
  runyard submit --kind python 'print(6 * 7)'    a snippet
  runyard submit --timeout 10m --max-attempts 3 --retry-on 75 -- ./flaky.sh
  runyard submit --depends-on JOB --label nightly --env MODE=release -- make
  runyard submit --app-version-id=v1 --target=emulator --test=tests/login.spec.js
  runyard submit --wait --json -- make test      wait; exit 1 if it does not pass
  runyard submit --name e2e --matrix browser=chromium,firefox --matrix os=linux,mac
      --exclude browser=firefox,os=mac -- npx playwright test --project={browser}-{os}
"""


@click.command("submit", epilog=EXAMPLES, context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, metavar="[--] [COMMAND...]")
@click.option("--test", metavar="SPEC", help="A test spec, run by its target's test_command.")
@click.option("--name", help="What to call the job; by default the command.")
@click.option("--kind", type=click.Choice(["command", "shell", "python"]), help="How to read it.")
@click.option("--org-id", help="The organisation it belongs to.")
@click.option("--app-version-id", help="The build it needs.")
@click.option("--target", help="The kind of place to run on.  [default: local]")
@click.option("--priority", help="0 to 10, or low, normal, high, critical.  [default: normal]")
@click.option("--cwd", type=click.Path(file_okay=False), help="Where to run.  [default: here]")
@click.option("--env", type=Pair(), multiple=True, metavar="K=V", help="Set a variable.")
@click.option("--timeout", type=Duration(), help="End it after so long: 90, 10m, 2h.")
@click.option("--silent-timeout", type=Duration(), help="End it after so long without output.")
@click.option("--max-attempts", type=int, help="Try so often in all.  [default: 1]")
@click.option("--retry-on", type=int, multiple=True, metavar="CODE", help="Retry only these exits.")
@click.option("--retry-delay", type=Duration(), help="First back-off.  [default: 1]")
@click.option("--delay", type=Duration(), help="Not before so long from now.")
@click.option("--limit-key", metavar="KEY", help="Count against this key's limit.")
@click.option("--limit", type=int, help="Run at most so many jobs of the key at once.")
@click.option("--depends-on", multiple=True, metavar="ID", help="Wait for a job to pass.")
@click.option("--label", type=Pair(bare=True), multiple=True, metavar="K[=V]", help="Mark it.")
@click.option("--payload", help="Any JSON, kept with the job.")
@click.option("--idempotency-key", help="Submit at most once under this key.")
@click.option(
    "--matrix",
    type=Axis(),
    multiple=True,
    metavar="AXIS=V,V…",
    help="One job for each value, {AXIS} filled in; makes a batch.",
)
@click.option(
    "--exclude",
    type=Combination(),
    multiple=True,
    metavar="AXIS=V,…",
    help="Leave a combination out.",
)
@click.option("--wait", is_flag=True, help="Wait for the end; exit 1 unless it passes.")
@config_option
@json_option
def submit_command(
    command: tuple[str, ...], wait: bool, config_path: str | None, as_json: bool, **options: Any
) -> None:
    """Submit COMMAND and print the job's id, or with --matrix the batch's.

    The job runs in the background, on a worker that is started if none lives here.
    """
    matrix, exclude = dict(options.pop("matrix")), options.pop("exclude")
    fields = _fields(command, options)
    if matrix or exclude:
        axes = {"matrix": matrix, "exclude": exclude}
        _submit_matrix(fields, axes, config_path, wait, as_json)
        return
    spec = drafts.validated(fields)
    configfile.load(config_path)  # a worker that is started now could only die of its faults
    with session(config_path) as here:
        spec = spec.model_copy(update={"depends_on": here.jobs.full_ids(spec.depends_on)})
        job = here.jobs.submit(spec)
        with reader_may_leave():
            if not as_json:
                click.echo(job.id)  # before anything else can fail: the job is there
        here.ensure_worker()
        if wait:
            job = _wait(here, job)
            found = here.explain(job.id)
    with reader_may_leave():
        if as_json:
            print_json(job.model_dump(mode="json"))
        elif wait:
            click.echo(show.coloured(job.state, printable(found.text)), err=True)
    if wait and job.state is not State.PASSED:
        raise click.exceptions.Exit(1)


def _submit_matrix(
    fields: dict[str, Any],
    axes: Mapping[str, Any],
    config_path: str | None,
    wait: bool,
    as_json: bool,
) -> None:
    """The same for many at once: the batch is what there is to see."""
    configfile.load(config_path)
    with session(config_path) as here:
        if wanted := fields.get("depends_on"):
            fields["depends_on"] = here.jobs.full_ids(wanted)
        name, key = fields.get("name", ""), fields.pop("idempotency_key", None)
        batch = here.jobs.submit_batch([fields], **axes, name=name, idempotency_key=key)
        batch_to_the_end(here, batch, wait=wait, as_json=as_json)


def _wait(here: Requests, job: Job) -> Job:
    try:
        with told_why(here, [job.id]):
            return here.jobs.wait([job.id], idle=here.ensure_worker)[0]
    except KeyboardInterrupt:
        click.echo(f"job {job.id} goes on; runyard cancel {job.id} ends it", err=True)
        raise


def _fields(command: tuple[str, ...], options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as fields of a spec; the rest keeps the spec's own defaults."""
    fields = {name: value for name, value in options.items() if value not in (None, ())}
    try:
        fields["cwd"] = os.path.abspath(fields.get("cwd", "."))
    except FileNotFoundError:
        raise InvalidRequest("the current directory is gone: say --cwd DIRECTORY") from None
    fields["env"] = dict(options["env"])
    fields["labels"] = {key: value or "" for key, value in options["label"]}
    fields.pop("label", None)
    if (delay := fields.pop("delay", None)) is not None:
        fields["run_after"] = time.time() + delay
    if "payload" in fields:
        fields["payload"] = _json(fields["payload"])
    test = fields.pop("test", None)
    if bool(command) == bool(test):
        raise click.UsageError("say either a COMMAND or --test SPEC")
    if test:
        return {**fields, "kind": "test", "command": test}
    return {**fields, **_command(command, options["kind"])}


def _command(words: tuple[str, ...], kind: str | None) -> dict[str, Any]:
    """One word with white space in it cannot be a program: it is a shell line."""
    if kind in ("shell", "python"):
        return {"kind": kind, "command": " ".join(words)}
    if kind is None and len(words) == 1 and any(c.isspace() for c in words[0]):
        return {"kind": "shell", "command": words[0]}
    return {"kind": "command", "command": list(words)}


def _json(text: str) -> Any:
    try:
        return written.json_value(text)
    except ValueError as error:
        raise InvalidRequest(f"--payload {error}") from None
