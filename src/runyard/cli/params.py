"""Parameter types and options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from runyard.domain import written
from runyard.errors import InvalidRequest

Function = TypeVar("Function", bound=Callable[..., Any])


class _Written(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """What people write on one line; a ``ValueError`` says what is wrong with it."""

    def read(self, text: str) -> Any:
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Duration(_Written):
    """Seconds, or a number with a unit: ``90``, ``1.5h``, ``10m``."""

    name = "seconds"

    def read(self, text: str) -> float:
        return written.seconds(text)


class Pair(_Written):
    """``KEY=VALUE``; with ``bare`` also ``KEY`` alone, whose value is then None."""

    name = "key=value"

    def __init__(self, *, bare: bool = False) -> None:
        self._bare = bare

    def read(self, text: str) -> tuple[str, str | None]:
        return written.pair(text, bare=self._bare)


class Axis(_Written):
    """``AXIS=VALUE,VALUE…``, as an axis of a matrix and its values."""

    name = "axis=values"

    def read(self, text: str) -> tuple[str, list[str]]:
        return written.axis(text)


class Combination(_Written):
    """``AXIS=VALUE,AXIS=VALUE…``, as a combination of values of a matrix, or a part of one."""

    name = "combination"

    def read(self, text: str) -> dict[str, str]:
        return written.combination(text)


def printable(text: str) -> str:
    """A text from outside on one line, without control characters that would play with the
    terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def ids_argument(function: Function) -> Function:
    """Ids of jobs or batches, as positional arguments."""
    return click.argument("ids", metavar="ID...", nargs=-1, required=True)(function)


def json_option(function: Function) -> Function:
    """``--json``, as every command has it."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(function)


def yes_option(function: Function) -> Function:
    """``--yes``, as every command has it that deletes."""
    return click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")(function)


def make_sure(question: str, is_sure: bool) -> None:
    """Ask before something goes for good, unless somebody ``is_sure`` already. Raises
    ``click.Abort`` if the answer is no, and ``InvalidRequest`` if nobody can be asked."""
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise InvalidRequest(f"{question} Nobody is here to be asked: say --yes")
    click.confirm(question, abort=True, err=True)


def config_option(function: Function) -> Function:
    """``--config``, for commands that need to know the targets."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(dir_okay=False),
        help="A runyard.toml.  [default: the nearest, from here upwards]",
    )(function)


def parameter_option(function: Function) -> Function:
    """``-p``, for what fills in the parameters of a job file."""
    return click.option(
        "-p",
        "--parameter",
        "parameters",
        type=Pair(),
        multiple=True,
        metavar="NAME=VALUE",
        help="Give a parameter a value.",
    )(function)


def simulate_option(function: Function) -> Function:
    """``--simulate``, for commands that run jobs."""
    return click.option(
        "--simulate", is_flag=True, help="Bring phones and emulators that are only played."
    )(function)
