"""Parameter types and options that several commands share."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from runyard.errors import InvalidRequest

Function = TypeVar("Function", bound=Callable[..., Any])

_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)")


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """Seconds, or a number with a unit: ``90``, ``1.5h``, ``10m``."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float | int):
            return float(value)
        match = _DURATION.fullmatch(value.strip())
        if not match:
            self.fail(f"{value!r} is no duration: write seconds, or 500ms, 10m, 2h, 1d", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


class Pair(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """``KEY=VALUE``; with ``bare`` also ``KEY`` alone, whose value is then None."""

    name = "key=value"

    def __init__(self, *, bare: bool = False) -> None:
        self._bare = bare

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | None]:
        key, equals, rest = value.partition("=")
        if not key or not (equals or self._bare):
            self.fail(f"{value!r} is not of the form KEY=VALUE", param, ctx)
        return key, rest if equals else None


class Axis(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """``AXIS=VALUE,VALUE…``, as an axis of a matrix and its values."""

    name = "axis=values"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, list[str]]:
        axis, equals, rest = value.partition("=")
        if not axis or not equals:
            self.fail(f"{value!r} is not of the form AXIS=VALUE,VALUE…", param, ctx)
        return axis, rest.split(",")


class Combination(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4
    """``AXIS=VALUE,AXIS=VALUE…``, as a combination of values of a matrix, or a part of one."""

    name = "combination"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        pairs = [item.partition("=") for item in value.split(",")]
        if not all(axis and equals for axis, equals, _ in pairs):
            self.fail(f"{value!r} is not of the form AXIS=VALUE,AXIS=VALUE…", param, ctx)
        return {axis: text for axis, _, text in pairs}


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
