"""A template: a job file that is kept, to be run again and again with other values."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, Field

from runyard.domain.job import Timestamp
from runyard.domain.parameters import Parameter
from runyard.errors import InvalidRequest

LABEL = "template"  # which all jobs made from one have, with its name

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Template(BaseModel):
    """One of an org. ``document`` is a job file; relative paths in it start from ``directory``,
    where also those of its jobs run that name none; None leaves that to the worker."""

    org_id: str
    name: str
    description: str = ""
    parameters: list[Parameter] = Field(default_factory=list)
    document: dict[str, Any]
    directory: str | None = None
    created_by: str = ""
    created_at: Timestamp = None
    updated_by: str = ""
    updated_at: Timestamp = None


def checked_name(name: str, what: str) -> str:
    """The name of a template or a schedule: it is a word in addresses and on command lines."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:100]!r} is no name for a {what}: up to 100 letters, digits, dots, _ and -, "
            "a letter or digit first"
        )
    return name
