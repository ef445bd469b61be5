"""A target: a kind of place to run, and the commands that prepare one and use it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Command = str | tuple[str, ...]  # a shell line, or an argument vector

PLACEHOLDERS = ("device", "app", "test")
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

Rate = Annotated[float, Field(ge=0, le=1)]
Duration = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]


class Simulation(BaseModel):
    """How a simulated target behaves; seconds, and shares of all installs or tests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    install_seconds: Duration = 1.0
    test_seconds: Duration = 0.5
    spread: Rate = 0.2  # durations are drawn from as much around these
    failure_rate: Rate = 0.0  # tests that fail
    infra_failure_rate: Rate = 0.0  # tests whose device fails
    install_failure_rate: Rate = 0.0
    seed: int = 0


class Target(BaseModel):
    """What ``[targets.NAME]`` says. Commands may hold ``{device}``, ``{app}`` and ``{test}``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    slots: Annotated[int, Field(ge=0, le=1000)] | None = None
    devices: tuple[str, ...] = ()
    setup: Command | None = None
    teardown: Command | None = None
    check: Command | None = None
    test_command: Command | None = None
    env: Mapping[str, str] = Field(default_factory=dict)
    group_slots: Annotated[int, Field(ge=1)] | None = None
    driver: Literal["commands", "simulated"] = "commands"
    simulation: Simulation = Simulation()
    requires: tuple[str, ...] = ()  # programs that its commands need

    @field_validator("setup", "teardown", "check", "test_command")
    @classmethod
    def _known_placeholders(cls, value: Command | None) -> Command | None:
        for word in (value,) if isinstance(value, str) else value or ():
            fill(word, dict.fromkeys(PLACEHOLDERS, ""))
        if value is not None and not any(value):
            raise ValueError("the command is empty")
        return value

    @field_validator("devices")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twice := sorted({name for name in value if value.count(name) > 1}):
            raise ValueError(f"{twice[0]!r} stands twice")
        return value

    @property
    def places(self) -> tuple[str, ...]:
        """The names of its slots: its devices, or else numbers behind its name."""
        return self.devices or tuple(f"{self.name}-{n + 1}" for n in range(self.slots or 0))

    def command(self, template: Command, values: Mapping[str, str]) -> str | list[str]:
        """A command with its placeholders filled, quoted where a shell will read it."""
        if isinstance(template, str):
            return fill(template, {name: shlex.quote(value) for name, value in values.items()})
        return [fill(word, values) for word in template]


def fill(text: str, values: Mapping[str, str]) -> str:
    """``text`` with each ``{name}`` replaced; ``{{`` and ``}}`` stand for braces."""

    def replace(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] not in values:
            allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(
                f"{found[0]} is none of {allowed}; write {{{{ and }}}} for braces themselves"
            )
        return values[found[1]]

    return _PLACEHOLDER.sub(replace, text)
