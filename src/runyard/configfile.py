"""``runyard.toml``: the targets of a place, and what weighs on them.

Looked for from the working directory upwards. A fault names file, line and key, and what would be
right instead.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from operator import eq
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runyard.config import named_config
from runyard.domain.builtin_targets import BUILTIN, simulated
from runyard.domain.target import Target
from runyard.errors import InvalidRequest

NAME = "runyard.toml"
TABLES = {"targets": "a table for each target", "orgs": "a table for each org", "worker": "a table"}
WORKER_KEYS = ("simulate",)
ORG_KEYS = ("weight",)
TARGET_KEYS = tuple(name for name in Target.model_fields if name not in ("name", "requires"))


@dataclass(frozen=True, slots=True)
class Config:
    """What a file says, laid over what is built in; ``path`` None if there is no file."""

    targets: Mapping[str, Target] = field(default_factory=lambda: dict(BUILTIN))
    weights: Mapping[str, float] = field(default_factory=dict)
    simulate: bool = False
    path: Path | None = None

    @property
    def group_slots(self) -> dict[str, int]:
        """How many slots may hold one group, of the targets for which somebody said it."""
        return {t.name: t.group_slots for t in self.targets.values() if t.group_slots}

    @property
    def at_hand(self) -> tuple[Target, ...]:
        """The targets that have places here."""
        targets = simulated(self.targets) if self.simulate else self.targets
        return tuple(target for target in targets.values() if target.places)


def path_in_force(
    path: str | None = None, environment: Mapping[str, str] | None = None
) -> Path | None:
    """The file of that name, or that the environment names, or the nearest from here upwards;
    absolute, None if there is none."""
    named = path or named_config(environment)
    found = Path(named) if named else _nearest()
    return found.absolute() if found else None


def load(
    path: str | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    simulate: bool = False,
) -> Config:
    """What the file in force says; ``simulate`` whatever it says."""
    found = path_in_force(path, environment)
    config = Config() if found is None else _Reader(found, _text(found)).config()
    return replace(config, simulate=True) if simulate else config


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{path}: it is not UTF-8 text") from None


def _nearest() -> Path | None:
    try:
        here = Path.cwd()
    except FileNotFoundError:
        return None
    return next((d / NAME for d in (here, *here.parents) if (d / NAME).is_file()), None)


class _Reader:
    """One file on its way to a ``Config``."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text

    def config(self) -> Config:
        """What it says."""
        try:
            data = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidRequest(f"{self._path}: not valid TOML: {error}") from None
        self._known((), data, tuple(TABLES))
        tables = {name: self._table((name,), data.get(name, {})) for name in TABLES}
        self._known(("worker",), tables["worker"], WORKER_KEYS)
        simulate = tables["worker"].get("simulate", False)
        if not isinstance(simulate, bool):
            raise self._fault(("worker", "simulate"), "it is true or false")
        targets = dict(BUILTIN)
        for name, table in tables["targets"].items():
            targets[name] = self._target(name, self._table(("targets", name), table))
        weights = {
            name: self._weight(name, self._table(("orgs", name), table))
            for name, table in tables["orgs"].items()
        }
        return Config(targets, weights, simulate, self._path)

    def _target(self, name: str, table: dict[str, Any]) -> Target:
        self._known(("targets", name), table, TARGET_KEYS)
        base = BUILTIN.get(name, Target(name=name)).model_dump(exclude_unset=True)
        if table.keys() & {"setup", "check", "test_command", "driver"}:
            base.pop("requires", None)  # its own commands need what they need
        try:
            target = Target.model_validate({**base, **table})
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            place = tuple(
                str(part) for part in fault["loc"] if part in table or part in TARGET_KEYS
            )
            text = fault["msg"].removeprefix("Value error, ")
            raise self._fault(("targets", name, *place[:1]), text[:1].lower() + text[1:]) from None
        if target.slots is not None and target.devices:
            text = "say slots or devices, not both: each device is one slot"
            raise self._fault(("targets", name, "slots"), text)
        return target

    def _weight(self, name: str, table: dict[str, Any]) -> float:
        self._known(("orgs", name), table, ORG_KEYS)
        weight = table.get("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
            raise self._fault(("orgs", name, "weight"), "it is a number above 0")
        return float(weight)

    def _table(self, place: Sequence[str], value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._fault(place, f"it is a table: [{'.'.join(place)}]")
        return value

    def _known(self, place: Sequence[str], table: Mapping[str, Any], keys: Sequence[str]) -> None:
        for key in table:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(keys)}"
                raise self._fault((*place, key), f"no such key; {hint}")

    def _fault(self, place: Sequence[str], text: str) -> InvalidRequest:
        line = line_of(self._text, place)
        where = f", line {line}" if line else ""
        return InvalidRequest(f"{self._path}{where}: {'.'.join(place)}: {text}")


_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def line_of(text: str, place: Sequence[str]) -> int | None:
    """The line where a key, or the table it would be in, stands; TOML's reader does not tell."""
    table: tuple[str, ...] = ()
    best: tuple[int, int] | None = None  # how much of the place is matched, and the line
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = found = _parts(header[1])
        elif key := _KEY.match(line):
            found = (*table, *_parts(key[1]))
        else:
            continue
        shared = sum(takewhile(bool, map(eq, found, place)))
        is_in_place = shared == min(len(found), len(place))
        if is_in_place and shared and (best is None or shared > best[0]):
            best = (shared, number)
    return best[1] if best else None


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", dotted))
