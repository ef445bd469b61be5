"""``version``."""

from __future__ import annotations

import json

import click

from runyard import __version__
from runyard.cli.params import json_option


@click.command("version")
@json_option
def version_command(as_json: bool) -> None:
    """Print the version."""
    click.echo(json.dumps({"version": __version__}) if as_json else f"runyard {__version__}")
