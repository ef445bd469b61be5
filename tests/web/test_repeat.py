"""The lines that do once more what a job did: read by a real shell, and by the real command."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runyard.cli.submit import _fields, submit_command
from runyard.domain.job import Job, JobSpec, State
from runyard.service import drafts
from runyard.web.pages import repeat

# Prints the words that a shell makes of a line.
WORDS = 'runyard() { printf "%s\\0" "$@"; }; '
BASH = ["bash", "--norc", "--noprofile", "-c"]

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
word = text.filter(bool)
seconds = st.floats(0.001, 1e8, allow_nan=False)
line = text.filter(lambda found: bool(found.strip()))
commands = st.one_of(
    st.tuples(st.just("command"), st.tuples(line, st.lists(text, max_size=3))),
    st.tuples(st.sampled_from(["shell", "python", "test"]), line),
)


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    kind, what = draw(commands)
    optional: dict[str, st.SearchStrategy[Any]] = {
        "name": text,
        "target": word,
        "org_id": word,
        "app_version_id": word,
        "priority": st.integers(0, 10),
        "timeout": seconds,
        "silent_timeout": seconds,
        "max_attempts": st.integers(1, 1000),
        "retry_on": st.lists(st.integers(0, 255), min_size=1, max_size=3),
        "retry_delay": st.floats(0, 86400, allow_nan=False),
        "limit_key": word,
        "labels": st.dictionaries(word.filter(lambda key: "=" not in key), text, max_size=2),
        "payload": st.recursive(st.none() | st.integers() | text, st.lists, max_leaves=3),
    }
    fields = draw(st.fixed_dictionaries({"cwd": word.map("/".__add__)}, optional=optional))
    command = [what[0], *what[1]] if kind == "command" else what
    return drafts.validated({**fields, "kind": kind, "command": command})


def job_of(spec: JobSpec) -> Job:
    fields = spec.model_dump(include={"kind", "command", "cwd", "org_id", "target", "priority"})
    return Job(
        id="x", name=spec.title, state=State.PASSED, app_version_id=spec.app_version_id, **fields
    )


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="there is no bash")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs())
def test_the_command_reads_what_was_asked_for(spec: JobSpec) -> None:
    written = repeat.as_job(job_of(spec), spec, spec.cwd)
    run = subprocess.run([*BASH, WORDS + written], capture_output=True, check=True)
    arguments = run.stdout.decode().split("\0")[1:-1]
    with submit_command.make_context("submit", arguments) as context:
        given = dict(context.params)
        command = given.pop("command")
        for name in ("wait", "as_json", "config_path", "matrix", "exclude"):
            given.pop(name)
        # Abbreviated as the shell sees it: only "//" and dots are taken out of a directory.
        read = drafts.validated({**_fields(command, given), "cwd": spec.cwd})
    assert read == spec


def spec(**fields: Any) -> JobSpec:
    return drafts.validated({"command": ["true"], **fields})


def test_what_variables_hold_comes_from_the_shell_and_from_nowhere_else(tmp_path: Path) -> None:
    asked = spec(env={"MODE": "fast", "odd.name": "x"}, command=["env"])
    line = repeat.by_hand(job_of(asked), asked, str(tmp_path))
    assert line is not None
    assert "fast" not in line
    assert "fast" not in repeat.as_job(job_of(asked), asked, None)
    found = {"PATH": "/usr/bin:/bin", "MODE": "it's", "odd.name": "$(a) b"}
    ran = subprocess.run([*BASH, line], env=found, capture_output=True, check=True)
    assert {"MODE=it's", "odd.name=$(a) b", f"PWD={tmp_path}"} <= set(
        ran.stdout.decode().split("\n")
    )
    del found["MODE"]
    refused = subprocess.run([*BASH, line], env=found, capture_output=True, check=False)
    assert refused.returncode
    assert b"MODE" in refused.stderr


def test_a_shell_line_ends_no_shell_but_its_own() -> None:
    asked = spec(command="echo one; exit 3")
    line = repeat.by_hand(job_of(asked), asked, "/")
    ran = subprocess.run([*BASH, f"{line}; echo $?"], capture_output=True, check=True)
    assert ran.stdout == b"one\n3\n"


def test_a_snippet_is_run_by_python_and_a_test_by_its_target_alone() -> None:
    asked = spec(command="print(6 * 7)", kind="python")
    line = repeat.by_hand(job_of(asked), asked, None)
    assert line == "python3 -c 'print(6 * 7)'"
    test = spec(command="a.spec.js", kind="test")
    assert repeat.by_hand(job_of(test), test, None) is None


def test_nothing_in_a_line_steers_the_terminal_it_is_pasted_into() -> None:
    asked = spec(command=["echo", "\x1b[201~\r'rm'\\\x9b"])
    line = repeat.as_job(job_of(asked), asked, None)
    assert line.isprintable()
    ran = subprocess.run([*BASH, WORDS + line], capture_output=True, check=True)
    assert ran.stdout.decode().split("\0")[-2] == asked.command[-1]


def test_an_unnamed_job_stays_unnamed() -> None:
    asked = spec(command="true")
    assert "--name" not in repeat.as_job(job_of(asked), asked, None)
