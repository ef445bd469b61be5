"""``worker`` and ``init-db``."""

from __future__ import annotations

import logging
import os
import signal
import threading

import click

from runyard import bootstrap, configfile
from runyard.cli.params import Duration, config_option, json_option, simulate_option
from runyard.cli.session import home_session, print_json
from runyard.client.local import Local
from runyard.engine import presence
from runyard.engine.worker import DRAIN_SECONDS, Worker, WorkerOptions

IDLE_SECONDS = 60.0  # after which a background worker leaves


@click.command("worker")
@click.option("--slots", type=click.IntRange(1, 1000), help="Jobs at once.  [default: CPUs]")
@click.option("--target", "targets", multiple=True, help="Serve only this one; may be repeated.")
@click.option(
    "--drain", type=Duration(), default=DRAIN_SECONDS, help="Time to finish after a first Ctrl-C."
)
@click.option("--exit-when-idle", type=Duration(), help="Leave after so long without work.")
@simulate_option
@config_option
@click.option("--background", type=int, hidden=True)
@click.option("--while-open", type=int, hidden=True)
@json_option
def worker_command(
    slots: int | None,
    targets: tuple[str, ...],
    drain: float,
    exit_when_idle: float | None,
    background: int | None,
    while_open: int | None,
    simulate: bool,
    config_path: str | None,
    as_json: bool,
) -> None:
    """Run jobs until told to stop.

    The first Ctrl-C or TERM lets running jobs finish for a while and takes no new ones; the second
    ends them and gives them back to the queue.

    \b
    Examples:
      runyard worker --slots 8
      runyard worker --target emulator --exit-when-idle 10m
      runyard worker --simulate        two emulators, a phone, two places at BrowserStack
    """
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("runyard").setLevel(logging.INFO)  # and of others only warnings
    config = configfile.load(config_path, simulate=simulate)
    options = WorkerOptions(
        slots or os.cpu_count() or 1,
        config.at_hand,
        config.weights,
        frozenset(targets) or None,
        drain_seconds=drain,
        idle_exit=exit_when_idle if background is None else IDLE_SECONDS,
        keeps_time=background is not None,
    )
    with home_session("a worker") as here:
        if background is None:
            _run(here, options, as_json, while_open)
        else:
            _run_in_background(here, options, background)


@click.command("init-db")
@json_option
def init_db_command(as_json: bool) -> None:
    """Create the database, or upgrade it; safe to repeat.

    Every command does this by itself; this one is for set-ups where it shall happen at a time of
    your choice.
    """
    with home_session("this") as here:
        place = here.store.place
    if as_json:
        print_json({"database": place})
    else:
        click.echo(f"the database {place} is ready")


def _run(
    here: Local, options: WorkerOptions, as_json: bool, while_open: int | None = None
) -> Worker:
    with bootstrap.worker(here.settings, here.store, options) as worker:
        _obey_signals(worker)
        if while_open is not None:
            watch = threading.Thread(target=_obey_pipe, args=(worker, while_open), daemon=True)
            watch.start()
        if as_json:
            print_json({"worker": worker.id, "slots": options.slots})
        else:
            click.echo(f"{worker.id}: {options.slots} slots, {here.settings.home.root}", err=True)
        worker.run()
    return worker


def _run_in_background(here: Local, options: WorkerOptions, lock: int | None) -> None:
    """Serve until idle, under the lock that whoever started us took. A submit that saw it taken
    does not start another worker, so once it is given up we look whether one counted on us."""
    while lock is not None:
        os.set_inheritable(lock, False)
        try:
            worker = _run(here, options, as_json=False)
        finally:
            os.close(lock)
        lock = None
        if not worker.is_stopping and here.jobs.need_worker():
            lock = presence.take_background_lock(here.settings.home.run)


def _obey_pipe(worker: Worker, fd: int) -> None:
    """Whoever started us holds the other end: it closes when they are gone, however."""
    with open(fd, "rb", buffering=0) as pipe:
        pipe.read(1)
        worker.drain()
        if pipe.read(1):
            worker.kill()


def _obey_signals(worker: Worker) -> None:
    def stop(*_: object) -> None:
        if worker.is_stopping:
            worker.kill()
        else:
            worker.drain()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
