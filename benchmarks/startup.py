"""How long does the command line take to answer?

Whole processes, from the call to the exit, beside a Python that does nothing and one that imports
only the database library. Of a small graph of tasks, what it takes beyond its critical path.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.support import (
    SQLITE,
    TIMES,
    Bench,
    Figure,
    alternate,
    p95,
    program,
    ratio,
    say,
    seconds,
)
from runyard import Runyard

HELP_FLOOR, STATUS_FLOOR, GRAPH_FLOOR = 0.25, 0.4, 0.5  # seconds

# Nine tasks: their commands, and what they wait for. The longest path takes CRITICAL_PATH seconds.
PRINTING = "for n in range(200): print(n)"
TASKS = {
    "fetch": ("sleep 0.3", []),
    "lint": ("sleep 0.1", []),
    "left": (PRINTING, ["fetch"]),
    "right": (PRINTING, ["fetch"]),
    "build": ("sleep 0.4", ["fetch", "lint"]),
    "broken": ("sleep 0.2; exit 3", ["fetch"]),
    "never": ("true", ["broken"]),
    "test": ("sleep 0.3", ["build"]),
    "pack": ("true", ["test", "left", "right"]),
}
CRITICAL_PATH = 1.0


def run(bench: Bench) -> Iterator[Figure]:
    """``--help``, ``status``, a graph of tasks, and for information the first command of a new
    home."""
    with bench.place(SQLITE) as place:
        with Runyard(place.home, place.url, background_worker=False) as yard:
            job = yard.submit(["true"])
        runyard, environment = program("runyard"), place.environment
        commands = (
            [runyard, "--help"],
            [runyard, "status", job.id],
            [sys.executable, "-c", "pass"],
            [sys.executable, "-c", "import sqlalchemy"],
        )
        graph = [runyard, "run", _job_file(place.home / "nine.json")]
        sides = [partial(_time, command, environment) for command in commands]
        sides.append(partial(_time, graph, environment, exit_code=1))  # one of them fails
        alternate(1, *sides)  # writes what Python keeps compiled
        helped, status, bare, library, nine = alternate(bench.size(15, 10), *sides)
    beside = _against(helped, bare, "python -c pass")
    yield _figure("startup --help", helped, beside, HELP_FLOOR)
    beside = _against(status, library, "import sqlalchemy")
    yield _figure("startup status", status, beside, STATUS_FLOOR)
    beyond = [taken - CRITICAL_PATH for taken in nine]
    beside = _against(beyond, library, "import sqlalchemy")
    yield _figure("startup of nine tasks", beyond, beside, GRAPH_FLOOR)
    [first] = alternate(bench.size(5, 3), partial(_first_time, bench))
    yield _figure("startup in a new home", first, f"init-db; p95 {p95(first):.3f}")


def _figure(name: str, taken: list[float], beside: str, floor: float | None = None) -> Figure:
    say(f"{name}: {median(taken):.3f} s, {beside}")
    return Figure(name, median(taken), "s", floor, less_is_better=True, beside=beside)


def _against(taken: list[float], peer: list[float], name: str) -> str:
    times = f"{ratio(taken, peer):.1f} {TIMES} {name}'s {median(peer):.3f}"
    return f"p95 {p95(taken):.3f}; {times}"


def _first_time(bench: Bench) -> float:
    with bench.place(SQLITE) as place:
        return _time([program("runyard"), "init-db"], place.environment)


def _job_file(path: Path) -> str:
    tasks = [
        {
            "name": name,
            "type": "eval" if command is PRINTING else "exec",
            "arguments": command,
            "dependencies": needs,
        }
        for name, (command, needs) in TASKS.items()
    ]
    path.write_text(json.dumps({"tasks": tasks}))
    return str(path)


def _time(command: list[str], environment: Mapping[str, str], exit_code: int = 0) -> float:
    def call() -> None:
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        if done.returncode != exit_code:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr!r}")

    return seconds(call)
