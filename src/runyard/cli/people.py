"""``users`` and ``tokens``: who may sign in over REST and on the pages."""

from __future__ import annotations

import sys

import click

from runyard.cli.lists import Column, print_list
from runyard.cli.params import json_option, printable
from runyard.cli.session import print_json, session
from runyard.clock import isoformat
from runyard.domain.user import ApiToken, Role, TokenScope, User
from runyard.errors import Forbidden

role_type = click.Choice([role.value for role in Role])
scope_type = click.Choice([scope.value for scope in TokenScope])


@click.group("users")
def users_command() -> None:
    """Manage who may sign in.

    \b
    Examples:
      runyard users add ada --role admin            asks for a password
      runyard users add ci --no-password            signs in by tokens only
      runyard users list
    """


@users_command.command("add")
@click.argument("name")
@click.option("--role", type=role_type, default=Role.MEMBER.value, show_default=True)
@click.option(
    "--org", "--org-id", "org_id", default="default", show_default=True, help="Whose jobs they see."
)
@click.option("--no-password", is_flag=True, help="They sign in by links and tokens.")
@json_option
def add_command(name: str, role: str, org_id: str, no_password: bool, as_json: bool) -> None:
    """Add user NAME; the password is asked for, or read from standard input.

    \b
    Examples:
      runyard users add ada --role admin
      runyard users add max --org acme < password.txt
    """
    password = None if no_password else _password()
    with session() as here:
        user = here.accounts.add(name, Role(role), org_id, password)
    _print_user(user, as_json)


@users_command.command("list")
@json_option
def list_users_command(as_json: bool) -> None:
    """List all users."""
    found: list[User] = []
    with session() as here:
        while page := here.accounts.page(found[-1].name if found else "", 1000):
            found += page
    print_list("users", found, USER_COLUMNS, as_json)


@users_command.command("set-role")
@click.argument("name")
@click.argument("role", type=role_type)
@json_option
def set_role_command(name: str, role: str, as_json: bool) -> None:
    """Give user NAME another role, from now on."""
    with session() as here:
        user = here.accounts.set_role(name, Role(role))
    _print_user(user, as_json)


@users_command.command("set-password")
@click.argument("name")
@click.option("--current", is_flag=True, help="Ask for the present one first.")
@json_option
def set_password_command(name: str, current: bool, as_json: bool) -> None:
    """Give user NAME another password; their sessions end.

    A server wants to know the present one, too, of whoever changes their own. From standard input
    it comes on a line before the new one.

    \b
    Examples:
      runyard users set-password ada
      runyard users set-password max --current      one's own, on a server
    """
    present = _password("Current password", once_more=None) if current else None
    password = _password("New password" if current else "Password")
    with session() as here:
        user = here.accounts.set_password(name, password, present)
    _print_user(user, as_json)


@users_command.command("disable")
@click.argument("name")
@json_option
def disable_command(name: str, as_json: bool) -> None:
    """Let user NAME in no more: sessions and tokens end at once."""
    with session() as here:
        user = here.accounts.disable(name)
    _print_user(user, as_json)


@users_command.command("enable")
@click.argument("name")
@json_option
def enable_command(name: str, as_json: bool) -> None:
    """Let user NAME in again."""
    with session() as here:
        user = here.accounts.enable(name)
    _print_user(user, as_json)


def _password(what: str = "Password", once_more: str | None = "Once more") -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    text: str = click.prompt(what, hide_input=True, confirmation_prompt=once_more or False)
    return text


def _print_user(user: User, as_json: bool) -> None:
    if as_json:
        print_json(user.model_dump(mode="json"))
    else:
        print_list("users", [user], USER_COLUMNS, as_json=False)


def _signs_in(user: User) -> str:
    if user.disabled_at is not None:
        return f"no more, since {isoformat(user.disabled_at)}"
    return "by password, link or token" if user.has_password else "by link or token"


USER_COLUMNS: list[Column[User]] = [
    Column("NAME", lambda user: user.name),
    Column("ROLE", lambda user: user.role.value),
    Column("ORG", lambda user: user.org_id),
    Column("SIGNS IN", _signs_in, lambda user: None if user.disabled_at is None else "red"),
]


@click.group("tokens")
def tokens_command() -> None:
    """Manage API tokens, with which programs sign in.

    \b
    Examples:
      runyard tokens create --user ci --name nightly --scope submit
      runyard tokens list
      runyard tokens revoke 0123456789abcdef
    """


@tokens_command.command("create")
@click.option("--user", help="Whose it is.  [default: your own]")
@click.option("--name", required=True, help="What it is for.")
@click.option("--scope", type=scope_type, default=TokenScope.SUBMIT.value, show_default=True)
@click.option("--days", type=click.FloatRange(0, min_open=True), default=90, show_default=True)
@click.option("--forever", is_flag=True, help="It does not expire.")
@json_option
def create_command(
    user: str | None, name: str, scope: str, days: float, forever: bool, as_json: bool
) -> None:
    """Create a token and print it: this once, and never again.

    \b
    Example:
      export RUNYARD_TOKEN=$(runyard tokens create --user ci --name nightly)
    """
    with session() as here:
        made, text = here.accounts.create_token(
            name, TokenScope(scope), None if forever else days, user
        )
    if as_json:
        print_json({**made.model_dump(mode="json"), "token": text})
    else:
        click.echo(text)
        until = isoformat(made.expires_at) or "for ever"
        click.echo(f"token {made.id} of {made.user} is good until {until}", err=True)


@tokens_command.command("list")
@click.option("--user", help="Of this user only.")
@json_option
def list_tokens_command(user: str | None, as_json: bool) -> None:
    """List tokens, the newest first: everybody's for an admin, else one's own."""
    with session() as here:
        try:
            found = here.accounts.tokens(user or "*")
        except Forbidden:
            if user is not None:
                raise
            found = here.accounts.tokens()
    print_list("tokens", found, TOKEN_COLUMNS, as_json)


@tokens_command.command("revoke")
@click.argument("id")
@json_option
def revoke_command(id: str, as_json: bool) -> None:  # noqa: A002
    """End the token ID at once."""
    with session() as here:
        here.accounts.revoke_token(id)
    if as_json:
        print_json({"id": id, "revoked": True})
    else:
        click.echo(f"token {printable(id)} is revoked")


def _is_good(token: ApiToken) -> str:
    until = f"until {isoformat(token.expires_at) or 'revoked'}"
    if token.revoked_at is not None:
        until = f"revoked {isoformat(token.revoked_at)}"
    return until


TOKEN_COLUMNS: list[Column[ApiToken]] = [
    Column("ID", lambda token: token.id),
    Column("USER", lambda token: token.user),
    Column("NAME", lambda token: token.name),
    Column("SCOPE", lambda token: token.scope.value),
    Column("GOOD", _is_good),
    Column("LAST USED", lambda token: isoformat(token.used_at) or "never"),
]
