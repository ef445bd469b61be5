"""How long does a graph of tasks take, beside make?

50 chains of 10 tasks on 4 slots: ``runyard run`` on a job file and ``make -j4`` on a Makefile with
the same commands and dependencies, whole processes. With ``sleep 0.02`` neither has much else to
do than to keep its slots busy; with ``true`` the overhead shows.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.support import SQLITE, TIMES, Bench, Figure, alternate, program, ratio, say, seconds
from runyard import bootstrap

LENGTH = 10
SLOTS = 4
COMMANDS = {"sleep 0.02": 1.5, "true": None}  # and their floors, in times of make


def run(bench: Bench) -> Iterator[Figure]:
    """One figure for each command."""
    if not shutil.which("make"):
        say("there is no make here, so nothing to compare with")
        return
    chains, rounds = bench.size(50, 10), bench.size(5, 3)
    for command, floor in COMMANDS.items():
        with bench.place(SQLITE) as place:
            bootstrap.open_store(place.settings).close()
            file, makefile = place.home / "chains.json", place.home / "Makefile"
            file.write_text(job_file(command, chains))
            makefile.write_text(make_file(command, chains))
            ours = partial(runyard_run, file, place.environment)
            taken, peers = alternate(rounds, partial(seconds, ours), partial(make, makefile))
        beside = f"{median(taken):.2f} s; make {median(peers):.2f} s"
        say(f"{command}: {beside}")
        yield Figure(
            f"chains of {command}",
            ratio(taken, peers),
            f"{TIMES} make",
            floor,
            less_is_better=True,
            beside=beside,
        )


def runyard_run(file: Path, environment: dict[str, str]) -> None:
    """Run a job file."""
    command = [program("runyard"), "run", str(file), "--slots", str(SLOTS)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"runyard run failed: {(done.stderr or done.stdout)[-500:]}")


def make(makefile: Path) -> float:
    """Seconds of make."""
    command = ["make", f"-j{SLOTS}", "-s", "-f", str(makefile)]
    return seconds(partial(subprocess.run, command, check=True))


def tasks(chains: int) -> Iterator[tuple[str, list[str]]]:
    """The names of all tasks with those they wait for."""
    for chain in range(chains):
        for step in range(LENGTH):
            yield f"c{chain}-{step}", [f"c{chain}-{step - 1}"] if step else []


def job_file(command: str, chains: int) -> str:
    """The graph as Runyard reads it."""
    listed = [
        {"name": name, "type": "exec", "arguments": command.split(), "dependencies": needs}
        for name, needs in tasks(chains)
    ]
    return json.dumps({"tasks": listed})


def make_file(command: str, chains: int) -> str:
    """The graph as make reads it."""
    rules = [f"{name}: {' '.join(needs)}\n\t{command}" for name, needs in tasks(chains)]
    everything = " ".join(name for name, _ in tasks(chains))
    return "\n".join([f".PHONY: all {everything}", f"all: {everything}", *rules, ""])
