"""What commands about templates and about schedules have in common: names that an org gave."""

from __future__ import annotations

from typing import Protocol, TypeVar

import click

from runyard.cli.params import printable
from runyard.cli.session import print_json

org_option = click.option("--org-id", help="The organisation it belongs to.  [default: default]")


class Named(Protocol):
    """Something with a name, unique in its org."""

    @property
    def org_id(self) -> str: ...

    @property
    def name(self) -> str: ...


One = TypeVar("One", bound=Named)


class Pages(Protocol[One]):
    """Lists some of them, behind the org and name of one."""

    def __call__(self, *, after: tuple[str, str] | None = None) -> list[One]: ...


def all_of(page: Pages[One]) -> list[One]:
    """Those of all pages."""
    found = part = page()
    while part:
        part = page(after=(part[-1].org_id, part[-1].name))
        found = found + part
    return found


def removed(what: str, name: str, as_json: bool) -> None:
    """Say that it is."""
    if as_json:
        print_json({what: name, "removed": True})
    else:
        click.echo(f"{what} {printable(name)} is removed")
