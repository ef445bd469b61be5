"""Real workers in processes of their own, and jobs that tell what they did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from runyard import Runyard, bootstrap
from runyard.config import Settings
from runyard.domain.event import EventKind
from runyard.domain.job import Job, State
from runyard.engine.worker import WorkerOptions
from tests.support.processes import PATIENCE, are_gone, children_of, eventually

NO_LEASE_ENDS = 600.0  # a lease so long that whatever happens does not wait for its end

# Takes a lock while it lives, and notes every start and every meeting with another of its kind.
# The lock is held by all of its tree, so two attempts that overlap in any process meet.
LOCKED = """\
exec 9>>"$0.lock"
flock -n 9 || echo met >>"$0.met"
echo $$ >>"$0.started"
"""


class WorkerProcess:
    """``runyard worker`` on the home that the environment names."""

    def __init__(
        self,
        *options: str,
        slots: int = 2,
        lease: float | None = None,
        home: Path | None = None,
        database_url: str | None = None,
    ) -> None:
        environment = dict(os.environ)
        if lease is not None:
            environment["RUNYARD_LEASE_SECONDS"] = str(lease)
        if home is not None:
            environment["RUNYARD_HOME"] = str(home)
        if database_url is not None:
            environment["RUNYARD_DATABASE_URL"] = database_url
        command = [sys.executable, "-m", "runyard", "worker", "--json", "--slots", str(slots)]
        self.process = subprocess.Popen(
            [*command, *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout
        said = self.process.stdout.readline()
        assert said, self.process.stderr and self.process.stderr.read().decode()
        self.id: str = json.loads(said)["worker"]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def launcher(self) -> int:
        """The process id of its launcher, once it has one."""
        return eventually(lambda: [pid for pid in children_of(self.pid) if pid])[0]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(seconds)

    def log(self) -> str:
        """What it said, after its end."""
        assert self.process.stdout
        assert self.process.stderr
        return (self.process.stdout.read() + self.process.stderr.read()).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        """Let it go, whatever state it is in, with its launcher and all that runs. If the test
        failed, what the worker said is part of why."""
        launchers = [] if self.process.poll() is not None else children_of(self.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        if failed:
            print(f"{self.id} ended with {self.process.returncode} and said:\n{self.log()}")
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        eventually(lambda: are_gone(*launchers))


def locked(directory: Path, name: str, line: str) -> list[str]:
    """A command that runs a shell line under the lock ``LOCKED`` of that name."""
    return ["sh", "-c", LOCKED + line, str(directory / name)]


def starts(directory: Path, name: str) -> int:
    """How often such a command was started."""
    path = directory / f"{name}.started"
    return len(path.read_text().split()) if path.exists() else 0


def met(directory: Path) -> list[str]:
    """The names of those that ever ran twice at once."""
    return sorted(path.stem for path in directory.glob("*.met"))


def work(home: Path, slots: int = 4, idle_exit: float = 0.1, **options: Any) -> None:
    """Run a worker in this thread until there is nothing to do."""
    options.setdefault("poll_seconds", 0.05)  # it looks so often whether it is idle
    settings = Settings.load(home)
    store = bootstrap.open_store(settings)
    try:
        wanted = WorkerOptions(slots, idle_exit=idle_exit, **options)
        with bootstrap.worker(settings, store, wanted) as worker:
            worker.run()
    finally:
        store.close()


def kinds(yard: Runyard, job: Job | str) -> list[EventKind]:
    """What happened to a job, in order."""
    return [event.kind for event in yard.events(job)]


def in_state(yard: Runyard, job: Job, state: State) -> Callable[[], bool]:
    return lambda: yard.get(job).state is state


def wait_until(yard: Runyard, job: Job, state: State) -> Job:
    eventually(in_state(yard, job, state))
    return yard.get(job)


def all_pages(yard: Runyard, **wanted: Any) -> list[Job]:
    found: list[Job] = []
    page = yard.list(limit=1000, **wanted)
    found += page.jobs
    while page.next:
        page = yard.list(limit=1000, cursor=page.next, **wanted)
        found += page.jobs
    return found


def wait_for_file(*paths: Path) -> None:
    eventually(lambda: all(path.exists() for path in paths))


def ended_once(yard: Runyard, jobs: Iterable[Job]) -> None:
    """Checks that each job reached exactly one final state, and its attempts tell the same."""
    final = {EventKind.PASSED, EventKind.FAILED, EventKind.CANCELLED, EventKind.SKIPPED}
    by_job: dict[str, list[EventKind]] = {job.id: [] for job in jobs}
    for event in yard.events(sorted(by_job)):
        by_job[event.job_id].append(event.kind)
    for job_id, happened in by_job.items():
        assert sum(kind in final for kind in happened) == 1, (job_id, happened)
        claims = happened.count(EventKind.CLAIMED)
        ends = [k for k in happened if k in final | {EventKind.LOST, EventKind.RELEASED}]
        assert claims == len([k for k in ends if k is not EventKind.SKIPPED]), (job_id, happened)


def pause_until(look: Callable[[], bool], seconds: float) -> None:
    """Go on when something holds, or when it has had that long to become so."""
    deadline = time.monotonic() + seconds
    while not look() and time.monotonic() < deadline:
        time.sleep(0.01)


def words_of(path: Path, count: int = 1) -> Sequence[str]:
    """The words in a file, once there are so many."""
    return eventually(
        lambda: (
            (
                (words := path.read_text().split() if path.exists() else [])
                and len(words) >= count
                and words
            )
            or []
        )
    )
