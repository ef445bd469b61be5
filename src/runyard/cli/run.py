"""``run``: a file of tasks, here and now, until all of them are over."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import click

from runyard import bootstrap, configfile
from runyard.cli import progress
from runyard.cli.board import Board
from runyard.cli.params import config_option, json_option, parameter_option, simulate_option
from runyard.cli.session import Session, session
from runyard.cli.streams import reader_may_leave
from runyard.domain.batch import Batch
from runyard.domain.job import Job, State
from runyard.engine.worker import Observer, WorkerOptions
from runyard.errors import RunyardError, StoreError
from runyard.execution import logs
from runyard.service import jobfile
from runyard.service.jobfile import JobFile
from runyard.store import views
from runyard.store.claim import Claim
from runyard.store.finish import Finished

MOST_SLOTS = 32

EXAMPLES = """\b
Examples:
  runyard run build.json                          run all of it, at most 32 tasks at once
  runyard run nightly.yaml --slots 4 --fail-fast  few at once, and stop at the first failure
  runyard run build.json --schema schema.json     check the file first
  runyard run phones.yaml --simulate              on phones and emulators that are only played
  generate-tasks | runyard run - --json | jq .batch

\b
build.json:
  {"tasks": [
    {"name": "compile", "type": "exec", "arguments": "make all"},
    {"name": "check", "type": "eval", "arguments": "print(6 * 7)"},
    {"name": "test", "type": "exec", "arguments": ["make", "test"],
     "dependencies": ["compile", "check"]}
  ]}

\b
A task may also have cwd, env, timeout, silent_timeout, max_attempts, retry_delay, retry_on,
priority, labels …, and the file a name and defaults for all tasks.

\b
Exit codes: 0 all passed, 1 something did not, 2 the file is wrong and nothing was run,
130 interrupted (143 by TERM, 129 by HUP).
"""


@click.command("run", epilog=EXAMPLES)
@click.argument("file", metavar="FILE")
@click.option("--schema", metavar="SCHEMA", help="A JSON schema that the file must fit.")
@click.option("--slots", type=click.IntRange(1, 1000), help="Tasks at once.  [default: up to 32]")
@click.option("--fail-fast", is_flag=True, help="Cancel the rest at the first failure.")
@click.option("--name", help="What to call the batch.  [default: as the file]")
@parameter_option
@simulate_option
@config_option
@json_option
def run_command(
    file: str,
    schema: str | None,
    slots: int | None,
    fail_fast: bool,
    name: str | None,
    parameters: Sequence[tuple[str, str]],
    simulate: bool,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Run the tasks in FILE with the greatest concurrency that their dependencies allow.

    FILE is JSON, TOML or YAML; - reads standard input. A task starts when all that it depends on
    has passed, and is skipped if one of them does not. Ctrl-C cancels what is left and ends what
    runs; a second one does not wait for it to end by itself.
    """
    found = jobfile.named(jobfile.load(file, schema, parameters=dict(parameters)), name)
    config = configfile.load(config_path, simulate=simulate)
    options = WorkerOptions(
        slots or min(MOST_SLOTS, max(1, len(found.specs))),
        config.at_hand,
        config.weights,
        reserved=True,
    )
    with session() as here:
        run = Foreground(here, found, fail_fast=fail_fast)
        batch = run.to_the_end(options, as_json)
        with reader_may_leave():
            if as_json:
                _print_json(here, batch)
            else:
                _report(here, batch, found)
    raise click.exceptions.Exit(run.exit_code(batch))


class Foreground(Observer):
    """A batch and the worker that runs nothing else, in this process."""

    def __init__(self, here: Session, file: JobFile, *, fail_fast: bool) -> None:
        self._here = here
        self._file = file
        self._fail_fast = fail_fast
        self._board = Board(file.specs)
        self._batch_id = ""
        self._is_cancelled = False
        self._signals = Signals(self._interrupt)

    def to_the_end(self, options: WorkerOptions, silent: bool) -> Batch:
        """Submit the batch and work until it is over."""
        with (
            contextlib.nullcontext() if silent else progress.shown(self._board, _reporting),
            bootstrap.worker(self._here.settings, self._here.store, options, self) as self._worker,
            self._signals,
        ):
            self._work()
        return self._here.jobs.get_batch(self._batch_id)

    def _work(self) -> None:
        try:
            self._worker.run()
        except BaseException:
            # No other worker serves our pool: what we leave there would wait for ever.
            with contextlib.suppress(RunyardError):
                self._here.jobs.cancel([self._batch_id] if self._batch_id else [])
            raise

    def exit_code(self, batch: Batch) -> int:
        """For the shell; like one, 128 and the number of the signal that interrupted us."""
        if self._signals.first is not None:
            return 128 + self._signals.first
        return 0 if batch.passed == batch.total else 1

    # What the worker tells us, in the main thread.

    def started(self) -> None:
        # Before, a signal ends us as it ends any program: there is nothing to cancel yet.
        self._signals.listen()
        jobs, name = self._here.jobs, self._file.name
        batch = jobs.submit_batch(self._file.specs, name=name, pool=self._worker.pool)
        self._batch_id = batch.id
        with self._here.store.read() as tx:
            self._board.place(views.seqs_of(tx, [batch.id]))
        self._signals.obey()

    def claimed(self, claims: Sequence[Claim]) -> None:
        self._board.claimed(claims)

    def finished(self, finished: Finished) -> None:
        self._board.finished(finished.moves)
        has_failed = any(move.transition.to is State.FAILED for move in finished.moves)
        if self._fail_fast and has_failed and not self._is_cancelled:
            self._board.tell("a task failed: cancelling the rest")
            self._cancel()

    def is_done(self) -> bool:
        # The store is asked, not the board: others may cancel and retry tasks, too.
        try:
            return self._here.jobs.get_batch(self._batch_id).is_final
        except StoreError:
            return False

    # The early end.

    def _interrupt(self, number: int, count: int) -> None:
        """A signal came. Runs in a thread, because the main one may hold the store."""
        if count > 1:
            self._worker.kill()
            return
        word = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        self._board.tell(f"{word}: what runs is asked to end (once again to kill it)")
        try:
            self._cancel()
        except StoreError as error:
            # Nothing can be saved any more; the launcher notices our end and kills what runs.
            click.echo(f"runyard: the tasks could not be cancelled: {error}", err=True)
            os._exit(1)

    def _cancel(self) -> None:
        self._is_cancelled = True
        self._board.compare(self._here.jobs.cancel([self._batch_id]))
        self._worker.wake()


class Signals:
    """Hands interrupts to a thread, in which they may take their time."""

    HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, react: Callable[[int, int], None]) -> None:
        """``react`` is told the signal's number and how many there were by then."""
        self.first: int | None = None
        self._react = react
        self._old: dict[int, Any] = {}
        # The one queue that a signal handler may put into.
        self._queue: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="signals", daemon=True)

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def listen(self) -> None:
        """Collect signals from now on; not those that our parent told us to ignore."""
        for number in self.HEARD:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._old[number] = signal.signal(number, self._hear)

    def obey(self) -> None:
        """React to the collected ones and to all that come."""
        self._thread.start()

    def _hear(self, number: int, _: object) -> None:
        self.first = self.first or number
        self._queue.put(number)

    def _work(self) -> None:
        count = 0
        while (number := self._queue.get()) is not None:
            count += 1
            self._react(number, count)


# What is printed.


def _report(here: Session, batch: Batch, found: JobFile) -> None:
    _reporting().report(here.jobs, batch, found.specs)


def _reporting() -> ModuleType:
    """Slow to import, and needed at the end: imported while the tasks run."""
    from runyard.cli import report

    return report


def _print_json(here: Session, batch: Batch) -> None:
    """Piece by piece: the output of all tasks at once may be more than there is memory."""
    out = sys.stdout.buffer
    top = batch.model_dump(mode="json")
    out.write(f'{{"batch": {_json(top)}, "jobs": ['.encode())
    for number, job in enumerate(here.jobs.members([batch.id])):
        out.write(b",\n" if number else b"\n")
        out.write(_json(_with_output(here, job)).encode())
    out.write(b"]}\n")
    out.flush()


def _with_output(here: Session, job: Job) -> dict[str, Any]:
    files = here.jobs.log_paths(job)
    return {
        **job.model_dump(mode="json"),
        "stdout": logs.read(files.stdout).decode(errors="replace"),
        "stderr": logs.read(files.stderr).decode(errors="replace"),
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
