"""``runyard run``: what it refuses and what it runs, with real processes on a real store."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from runyard import Runyard
from tests.cli.running import (
    code,
    nothing_is_open,
    run,
    run_json,
    task,
    write,
)
from tests.support.commands import call

pytestmark = pytest.mark.usefixtures("here")

# Bad input


CASES = {
    "missing": (["nope.json"], "nope.json: there is no such file"),
    "directory": (["."], ".: this is a directory, not a file"),
    "not utf-8": (["bad.json"], "bad.json: not UTF-8 text: byte 0xff in line 1"),
    "json": (["{"], "f.json: not valid JSON: line 1, column 2: Expecting property name"),
    "yaml": (["f.yaml", "a: ]"], "f.yaml: not valid YAML: line 1, column 4: "),
    "toml": (["f.toml", "a = ["], "f.toml: not valid TOML: Invalid value (at end of document)"),
    "double key": (['{"tasks": [], "tasks": []}'], "f.json: the key 'tasks' stands twice in one"),
    "no object": (["[]"], 'f.json: the top level must be an object with "tasks", not a list'),
    "no tasks": (["{}"], 'f.json: there is no "tasks"'),
    "deep": (["[" * 100_000], "f.json: nested deeper than 100 levels"),
    "field": ([[task("a", timout=1)]], "f.json: tasks[0] ('a'): unknown field 'timout': did you"),
    "type": ([[task("a", timeout="x")]], "f.json: tasks[0].timeout: input should be a valid num"),
    "no name": ([[{"command": "x"}]], "f.json: tasks[0]: has no name"),
    "no command": ([[{"name": "a"}]], "f.json: tasks[0] ('a'): has no command"),
    "same name": ([[task("a"), task("a")]], "f.json: tasks[0] and tasks[1] are both named 'a'"),
    "unknown": ([[task("a"), task("b", "x", "A")]], "f.json: 'b' needs 'A', which is no task of"),
    "itself": ([[task("a", "x", "a")]], "f.json: 'a' needs itself"),
    "cycle": (
        [[task("a", "x", "b"), task("b", "x", "a")]],
        "f.json: the dependencies form a cycle: a needs b needs a",
    ),
    "control characters": ([[task("a\n\x1b[31m", "x", "b")]], r"f.json: 'a\n\x1b[31m' needs 'b'"),
    "schema": (
        [[task("a")], "--schema", "s.json"],
        "f.json: $.tasks: [{'name': 'a'",
    ),
    "bad schema": ([[task("a")], "--schema", "bad.json"], "bad.json: not UTF-8 text"),
    "no schema": ([[task("a")], "--schema", "nope.json"], "nope.json: there is no such file"),
    "batch name": ([[task("a")], "--name", "x" * 301], "--name: must be at most 300 characters"),
}


def given_file(first: Any) -> str:
    """The name of a file with that content, or the name itself."""
    if isinstance(first, list):
        return write(first)
    if first[:1] in ("{", "["):
        Path("f.json").write_text(first)
        return "f.json"
    return str(first)


@pytest.mark.parametrize(("given", "sentence"), CASES.values(), ids=CASES.keys())
def test_bad_input_is_one_sentence_and_leaves_nothing(
    given: list[Any], sentence: str, home: Path
) -> None:
    Path("bad.json").write_bytes(b"\xff")
    Path("s.json").write_text('{"properties": {"tasks": {"maxItems": 0}}}')
    first, *rest = given
    if rest and not rest[0].startswith("--"):
        Path(first).write_text(rest.pop())
    done = run(given_file(first), *rest)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"runyard: {sentence}")
    assert done.stderr.count("\n") == 1
    assert done.stderr[:-1].isprintable()
    assert list(home.iterdir()) == []


def test_bad_input_is_an_object_in_json() -> None:
    done = run("nope.json", "--json")
    assert (done.returncode, done.stderr) == (2, "")
    assert json.loads(done.stdout) == {"error": "nope.json: there is no such file"}


def test_a_dependency_on_a_job_that_does_not_exist_saves_nothing() -> None:
    done = run(write([task("a", "true", "0123456789abc")]))
    assert done.returncode == 2
    assert done.stderr == "runyard: there is no job 0123456789abc to depend on\n"
    with Runyard(background_worker=False) as yard:
        assert yard.list().jobs == []


@pytest.mark.parametrize("arguments", [["--slots", "0"], ["--slots", "x"], ["--slow"]])
def test_bad_options_exit_with_2(arguments: list[str]) -> None:
    done = run(write([]), *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


# The graph


ACCEPTANCE = [
    task("fetch", "sleep 0.3; echo fetched"),
    task("configure", ["sleep", "0.2"]),
    code(
        "count", "import time\nfor n in range(5): print('count', n, flush=True); time.sleep(0.05)"
    ),
    code("spell", "import time\nfor c in 'abcde': print('spell', c, flush=True); time.sleep(0.05)"),
    task("compile", "sleep 0.5", "fetch", "configure"),
    task("lint", "echo found something >&2; exit 3", "configure"),
    task("test", "sleep 0.4; echo tested", "compile", "count"),
    task("publish", "echo published", "lint", "test"),
    task("announce", "echo announced", "publish"),
]
CRITICAL_PATH = 0.3 + 0.5 + 0.4


def test_the_acceptance_graph() -> None:
    found = run_json(ACCEPTANCE)
    states = {name: job["state"] for name, job in found["by_name"].items()}
    assert states == {
        **dict.fromkeys(["fetch", "configure", "count", "spell", "compile", "test"], "passed"),
        "lint": "failed",
        "publish": "skipped",
        "announce": "skipped",
    }
    assert [job["name"] for job in found["jobs"]] == [t["name"] for t in ACCEPTANCE]
    lint = found["by_name"]["lint"]
    assert (lint["reason"], lint["exit_code"]) == ("exit_code", 3)
    assert (lint["stdout"], lint["stderr"]) == ("", "found something\n")
    assert found["by_name"]["count"]["stdout"] == "".join(f"count {n}\n" for n in range(5))
    assert found["by_name"]["spell"]["stdout"] == "".join(f"spell {c}\n" for c in "abcde")
    assert found["exit_code"] == 1
    counts = {word: found["batch"][word] for word in ("total", "passed", "failed", "skipped")}
    assert counts == {"total": 9, "passed": 6, "failed": 1, "skipped": 2}
    assert found["batch"]["state"] == "failed"
    assert nothing_is_open()


def test_it_takes_hardly_longer_than_the_critical_path() -> None:
    lost = []
    while len(lost) < 3 and min(lost, default=99.0) > 0.5:  # on a busy machine
        found = run_json(ACCEPTANCE)
        lost.append(found["batch"]["seconds"] - critical_path(found["by_name"]))
        assert found["batch"]["seconds"] >= CRITICAL_PATH
    assert min(lost) < 0.5


def critical_path(jobs: dict[str, Any]) -> float:
    """Seconds along the longest path, by what each task took: a busy machine slows those down."""
    until: dict[str, float] = {}
    for one in ACCEPTANCE:
        needed = max((until[need] for need in one["dependencies"]), default=0.0)
        until[one["name"]] = needed + sum(map(seconds, jobs[one["name"]]["attempts"]))
    return max(until.values())


def seconds(attempt: dict[str, str]) -> float:
    begun, ended = (datetime.fromisoformat(attempt[at]) for at in ("started_at", "finished_at"))
    return (ended - begun).total_seconds()


def test_evals_run_at_once_and_their_output_is_their_own() -> None:
    snippet = """
import os, pathlib, time
pathlib.Path("{n}.here").touch()
while len(list(pathlib.Path().glob("*.here"))) < 6: time.sleep(0.01)
for n in range(200): print("{n}", os.getpid() * 0 + n, flush=True)
"""
    found = run_json([code(f"e{n}", snippet.format(n=n)) for n in range(6)])
    for n in range(6):
        assert found["by_name"][f"e{n}"]["stdout"] == "".join(f"{n} {k}\n" for k in range(200))


def test_32_tasks_run_at_once_and_no_more() -> None:
    line = "touch {n}.here; until [ $(ls | grep -c here) -ge 32 ]; do sleep 0.02; done"
    found = run_json([task(f"t{n}", line.format(n=n), timeout=50) for n in range(40)])
    assert found["exit_code"] == 0
    slots = {job["attempts"][0]["slot"] for job in found["jobs"]}
    assert slots == {str(n) for n in range(1, 33)}


def test_slots_bound_what_runs_at_once() -> None:
    found = run_json([task(f"t{n}", "sleep 0.05") for n in range(8)], "--slots", "2")
    assert {job["attempts"][0]["slot"] for job in found["jobs"]} == {"1", "2"}


def test_2000_tasks() -> None:
    tasks = [task(f"t{n}", ["true"], *([f"t{n - 1}"] if n % 20 else [])) for n in range(2000)]
    done = run(write(tasks))
    assert done.returncode == 0
    last = re.fullmatch(r"\n2000 passed in (\d+\.\d) s\n", done.stdout)
    assert last, "of many tasks, those that passed are not listed"
    assert float(last[1]) < 60, "some 5 on a free machine"
    lines = done.stderr.splitlines()
    told = [int(re.match(r"(\d+)0 % done: ", line)[1]) for line in lines]
    assert told == sorted(set(told)), "each tenth is told once, unless it is over in no time"
    assert len(told) > 1
    assert lines[-1].startswith("100 % done: 2000 of 2000, ")


def test_no_tasks() -> None:
    done = run("-", stdin='{"tasks": []}')
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n0 passed in 0.0 s\n", "")


def test_the_full_form_from_standard_input() -> None:
    text = """
    name: nightly
    defaults: {env: {GREETING: hello}}
    tasks:
      - {name: say, command: 'echo $GREETING $NAME', env: {NAME: you}, labels: {kind: test}}
      - {name: again, command: 'test "$RUNYARD_ATTEMPT_NUMBER" = 2', max_attempts: 2,
         retry_delay: 0, depends_on: [say]}
    """
    done = run("-", "--json", stdin=text)
    first, second = json.loads(done.stdout)["jobs"]
    assert (first["stdout"], first["labels"]) == ("hello you\n", {"kind": "test"})
    assert [attempt["state"] for attempt in second["attempts"]] == ["failed", "passed"]
    assert json.loads(done.stdout)["batch"]["name"] == "nightly"


def test_a_task_may_need_a_job_that_exists() -> None:
    (first,) = run_json([task("first")])["jobs"]
    assert run_json([task("second", "true", first["id"])])["exit_code"] == 0
    (failed,) = run_json([task("bad", "false")])["jobs"]
    done = run(write([task("third", "true", failed["id"])]))
    assert done.returncode == 1
    assert f"needs {failed['id']}, which did not pass" in done.stdout


def test_the_batch_has_what_its_file_says_of_it() -> None:
    done = run(write([task("a")], description="all of it\x1b[31m"), "--json")

    batch = json.loads(done.stdout)["batch"]
    assert batch["description"] == "all of it\x1b[31m"
    shown = call("status", batch["id"]).out.splitlines()
    assert shown[1] == "about:      all of it\ufffd[31m"
