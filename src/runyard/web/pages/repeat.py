"""Lines for a shell that do once more what a job did.

What a variable holds may be a secret: a line takes it from the shell that it is typed in, which
refuses to run a line whose variables it does not have.
"""

from __future__ import annotations

import json
import re
import shlex
from decimal import Decimal
from typing import Any

from runyard.domain.job import Job, JobSpec, Kind

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ESCAPED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f'\\]")


def command(job: Job | JobSpec) -> str:
    """What a job runs, as one would type it."""
    return job.command if isinstance(job.command, str) else shlex.join(job.command)


def by_hand(job: Job, spec: JobSpec, cwd: str | None) -> str | None:
    """What a worker would start in ``cwd``; None for a test, which needs its target."""
    if job.kind is Kind.TEST:
        return None
    started = _started(spec)
    if spec.env:
        started = " ".join(["env", *map(_variable, spec.env), started])
    return f"cd {_quoted(cwd)} && {started}" if cwd else started


def _started(spec: JobSpec) -> str:
    if isinstance(spec.command, str):
        shell = "sh" if spec.kind is Kind.SHELL else "python3"
        return f"{shell} -c {_quoted(spec.command)}"
    return " ".join(map(_quoted, spec.command))


def as_job(job: Job, spec: JobSpec, cwd: str | None) -> str:
    """Submits the same: all that was asked for but when it may start, that is after what it
    depended on, or not before a time."""
    options: dict[str, Any] = {
        "--name": spec.name or None,
        "--kind": _kind(spec),
        "--org-id": job.org_id,
        "--app-version-id": job.app_version_id,
        "--target": job.target,
        "--priority": job.priority,
        "--cwd": cwd,
        "--timeout": spec.timeout,
        "--silent-timeout": spec.silent_timeout,
        "--max-attempts": spec.max_attempts,
        "--retry-delay": spec.retry_delay,
        "--limit-key": spec.limit_key,
        "--limit": spec.limit,
        "--payload": None if spec.payload is None else json.dumps(spec.payload),
        "--test": spec.command if spec.kind is Kind.TEST else None,
    }
    words = ["runyard", "submit"]
    for name, value in options.items():
        if value is not None and value != _USUAL.get(name):
            words += [name, _quoted(written(value))]
    for code in spec.retry_on or ():
        words += ["--retry-on", str(code)]
    for key, text in spec.labels.items():
        words += ["--label", _quoted(f"{key}={text}")]
    for key in spec.env:
        words += ["--env", _variable(key)]
    if spec.kind is not Kind.TEST:
        started = [spec.command] if isinstance(spec.command, str) else spec.command
        words += ["--", *map(_quoted, started)]
    return " ".join(words)


_USUAL = {
    "--org-id": "default",
    "--target": "local",
    "--priority": 5,
    "--max-attempts": 1,
    "--retry-delay": 1.0,
}


def _kind(spec: JobSpec) -> str | None:
    """What is to be said of how to read the command; a single word with spaces in it would be taken
    for a shell line."""
    if spec.kind in (Kind.SHELL, Kind.PYTHON):
        return spec.kind.value
    is_line = len(spec.command) == 1 and any(char.isspace() for char in spec.command[0])
    return spec.kind.value if spec.kind is Kind.COMMAND and is_line else None


def written(value: Any) -> str:
    """A value as an option or a field takes it: seconds without an exponent."""
    return (
        f"{Decimal(repr(value)):f}".removesuffix(".0") if isinstance(value, float) else str(value)
    )


def _variable(name: str) -> str:
    if _NAME.fullmatch(name):
        return f'{name}="${{{name}?}}"'
    return f'{_quoted(name)}="$(printenv {_quoted(name)})"'


def _quoted(word: str) -> str:
    """A word that no shell reads as anything else. Characters that would steer the terminal that
    it is pasted into are spelled."""
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", word):
        return "$'" + _ESCAPED.sub(_spelled, word) + "'"
    return shlex.quote(word)


def _spelled(found: re.Match[str]) -> str:
    character = found[0]
    if character in "'\\":
        return "\\" + character
    return "".join(f"\\{byte:03o}" for byte in character.encode())
