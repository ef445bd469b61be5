"""Write job files and load them."""

import json
from pathlib import Path
from typing import Any

import pytest

from runyard.domain.job import JobSpec
from runyard.errors import InvalidGraph, InvalidJobFile
from runyard.service import jobfile
from runyard.service.jobfile import JobFile


def load(content: Any, name: str = "f.json", schema: Any = None) -> JobFile:
    """Write a file and load it; what is not text or bytes is written as JSON."""
    for path, value in ((name, content), ("s.json", schema)):
        text = value if isinstance(value, str | bytes) else json.dumps(value)
        Path(path).write_bytes(text.encode() if isinstance(text, str) else text)
    return jobfile.load(name, None if schema is None else "s.json")


def refusal(content: Any, name: str = "f.json", schema: Any = None) -> str:
    with pytest.raises((InvalidJobFile, InvalidGraph)) as caught:
        load(content, name, schema)
    sentence = str(caught.value)
    assert sentence.isprintable(), "one line, no control characters"
    return sentence


def tasks(*given_: dict[str, Any], **top: Any) -> dict[str, Any]:
    """A file with these tasks, each with a name and a command unless it says otherwise."""
    full = [{"name": f"t{n}", "command": "true"} | task for n, task in enumerate(given_)]
    return {"tasks": [{k: v for k, v in t.items() if v is not ...} for t in full], **top}


def one(**fields: Any) -> JobSpec:
    return load(tasks(fields)).specs[0]
