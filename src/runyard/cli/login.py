"""``login`` and ``logout``: which server commands go to, and as whom."""

from __future__ import annotations

import sys

import click

from runyard import config
from runyard.cli.params import json_option, printable
from runyard.cli.session import print_json
from runyard.client import credentials
from runyard.client.credentials import Credentials
from runyard.errors import InvalidRequest, NotFound, RunyardError


@click.command("login")
@click.argument("url", required=False)
@click.option("--name", help="Who you are; asked for, unless --token is given.")
@click.option("--token", is_flag=True, help="Sign in with an API token, which is asked for.")
@json_option
def login_command(url: str | None, name: str | None, token: bool, as_json: bool) -> None:
    """Sign in to the server at URL. From then on all commands go there.

    The password, or the token, is asked for, or read from standard input. What signs in is kept in
    a file that only you can read. RUNYARD_URL and RUNYARD_TOKEN win over it, and so do RUNYARD_HOME
    and RUNYARD_DATABASE_URL, with which commands stay on this machine; as does an empty
    RUNYARD_URL.

    \b
    Examples:
      runyard login https://yard.example:8000
      runyard login https://yard.example:8000 --name ada < password.txt
      runyard login https://yard.example:8000 --token < token.txt
    """
    from runyard.client import signing

    place = url or config.server_url()
    if not place:
        raise InvalidRequest("say which server: runyard login URL")
    place = credentials.checked_url(place)
    if token:
        kept = Credentials(place, credentials.checked_token(_secret("Token")))
    else:
        who = name or click.prompt("Name", err=True)
        kept = signing.by_password(place, who, _secret("Password"))
    me = signing.who(kept)
    credentials.keep(config.credentials_path(), kept)
    if as_json:
        print_json({"url": place, "name": me["name"], "role": me["role"]})
        return
    click.echo(f"signed in to {place} as {printable(me['name'])}, {me['role']}")
    _warn(place)


@click.command("logout")
@json_option
def logout_command(as_json: bool) -> None:
    """Sign out of the server, and forget it; commands work on this machine again.

    \b
    Example:
      runyard logout
    """
    from runyard.client import signing

    path = config.credentials_path()
    kept = credentials.read(path)
    if kept is None:
        raise NotFound("nobody is signed in")
    try:
        signing.out(kept, path)
    except RunyardError as error:
        click.echo(f"the session could not be ended on the server: {error}", err=True)
    credentials.forget(path)
    if as_json:
        print_json({"url": kept.url})
    else:
        click.echo(f"signed out of {kept.url}")


def _secret(what: str) -> str:
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def _warn(place: str) -> None:
    """Say so if commands will not go there all the same."""
    other = config.server_url()
    if other is not None and other.rstrip("/") != place:
        click.echo("RUNYARD_URL is set and wins over it", err=True)
    elif other is None and config.names_home():
        click.echo(
            "RUNYARD_HOME or RUNYARD_DATABASE_URL is set: commands stay on this machine", err=True
        )
