"""``template``: job files that are kept, to be run again and again."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from runyard import configfile
from runyard.cli.lists import Column, print_list
from runyard.cli.named import all_of, org_option, removed
from runyard.cli.params import (
    config_option,
    json_option,
    make_sure,
    parameter_option,
    printable,
    yes_option,
)
from runyard.cli.session import print_json, session
from runyard.cli.streams import reader_may_leave
from runyard.cli.submitted import batch_to_the_end
from runyard.domain.parameters import Parameter
from runyard.domain.template import Template
from runyard.errors import InvalidRequest
from runyard.service import documents

COLUMNS: list[Column[Template]] = [
    Column("NAME", lambda template: template.name),
    Column("ORG", lambda template: template.org_id),
    Column("BY", lambda template: template.created_by),
    Column("PARAMETERS", lambda template: " ".join(map(_spelled, template.parameters))),
    Column("DESCRIPTION", lambda template: template.description),
]


@click.group("template", invoke_without_command=True)
@json_option
@click.pass_context
def template_command(context: click.Context, as_json: bool) -> None:
    """Keep job files under a name and run them with other values.

    \b
    nightly.yaml:
      description: all suites on one branch
      parameters:
        branch: main        # the default
        build:              # none: it has to be given
      tasks:
        - name: test {branch}
          command: ["./test", "--build", "{build}", "--branch", "{branch}"]

    \b
    Examples:
      runyard template save nightly nightly.yaml
      runyard template run nightly -p build=1.4 --wait
      runyard template list         or just: runyard template
    """
    if not context.invoked_subcommand:
        _list(as_json)


@template_command.command("save")
@click.argument("name")
@click.argument("file")
@click.option(
    "--cwd",
    type=click.Path(file_okay=False),
    help="Where its jobs run, and relative directories start from.  [default: here]",
)
@org_option
@json_option
def save_command(name: str, file: str, cwd: str | None, org_id: str | None, as_json: bool) -> None:
    """Save the job file FILE as NAME, over what has the name; - reads standard input.

    FILE may also hold the fields of a single job.

    \b
    Example:
      runyard template save nightly nightly.yaml --cwd /srv/app
    """
    document = documents.read(file)
    try:
        directory = os.path.abspath(cwd or ".")
    except FileNotFoundError:
        raise InvalidRequest("the current directory is gone: say --cwd DIRECTORY") from None
    with session() as here:
        templates = here.templates
        saved = templates.save(name, document.value, org_id=org_id, directory=directory)
    if as_json:
        print_json(saved.model_dump(mode="json"))
    else:
        needs = _needs(saved.parameters)
        click.echo(f"template {saved.name} is saved" + (f"; it needs {needs}" if needs else ""))


@template_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the templates.

    \b
    Example:
      runyard template list
    """
    _list(as_json)


def _list(as_json: bool) -> None:
    with session() as here:
        found = all_of(here.templates.page)
    print_list("templates", found, COLUMNS, as_json)


@template_command.command("show")
@click.argument("name")
@org_option
@json_option
def show_command(name: str, org_id: str | None, as_json: bool) -> None:
    """Show a template: its parameters and the job file, as YAML.

    \b
    Example:
      runyard template show nightly > nightly.yaml
    """
    with session() as here:
        found = here.templates.get(name, org_id)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    with reader_may_leave():
        click.echo(_as_yaml(found))


@template_command.command("run")
@click.argument("name")
@parameter_option
@click.option("--idempotency-key", help="Submit at most once under this key.")
@click.option("--wait", is_flag=True, help="Wait for the end; exit 1 unless all jobs pass.")
@org_option
@config_option
@json_option
def run_command(
    name: str,
    parameters: Sequence[tuple[str, str]],
    idempotency_key: str | None,
    wait: bool,
    org_id: str | None,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Submit the jobs of a template, and print the batch's id.

    \b
    Example:
      runyard template run nightly -p build=1.4 -p branch=release --wait
    """
    configfile.load(config_path)  # a worker that is started now could only die of its faults
    with session(config_path) as here:
        templates = here.templates
        batch = templates.run(
            name, dict(parameters), org_id=org_id, idempotency_key=idempotency_key
        )
        batch_to_the_end(here, batch, wait=wait, as_json=as_json)


@template_command.command("remove")
@click.argument("name")
@org_option
@yes_option
@json_option
def remove_command(name: str, org_id: str | None, is_sure: bool, as_json: bool) -> None:
    """Forget a template; what was run from it stays.

    \b
    Example:
      runyard template remove nightly
    """
    make_sure(f"Remove the template {printable(name)}?", is_sure)
    with session() as here:
        here.templates.remove(name, org_id)
    removed("template", name, as_json)


def _needs(parameters: Sequence[Parameter]) -> str:
    return " ".join(_spelled(one) for one in parameters if one.default is None)


def _spelled(parameter: Parameter) -> str:
    return f"{parameter.name}={'…' if parameter.default is None else parameter.default}"


def _as_yaml(template: Template) -> str:
    from runyard.service import yaml12

    about = [f"saved by {template.updated_by or 'nobody'}", f"runs in {template.directory or '?'}"]
    text = yaml12.dump(template.document).rstrip()
    return "\n".join([*(f"# {printable(line)}" for line in about), text])
