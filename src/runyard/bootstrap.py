"""The one place that wires things together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from runyard.config import CONFIG_VARIABLE, Settings, user_name
from runyard.domain.user import Actor
from runyard.engine import presence
from runyard.errors import HomeUnusable
from runyard.execution.bounds import Bounds
from runyard.execution.strays import KEY_VARIABLE
from runyard.service.jobs import Jobs
from runyard.store.database import Store
from runyard.store.upgrade import upgrade

if TYPE_CHECKING:
    from runyard.engine.loop import Loop
    from runyard.engine.observer import Observer
    from runyard.engine.worker import Worker, WorkerOptions
    from runyard.service.accounts import Accounts
    from runyard.service.schedules import Schedules
    from runyard.service.signin import SignIn
    from runyard.service.templates import Templates
    from runyard.service.waiting import Reckoning
    from runyard.service.yardmaster import Yardmaster


OF_A_JOB = (KEY_VARIABLE, "RUNYARD_JOB_ID", "RUNYARD_ATTEMPT_NUMBER")  # variables


def open_store(settings: Settings) -> Store:
    """The store of a home, its schema up to date."""
    settings.home.prepare()
    store = Store(settings.database_url)
    upgrade(store)
    return store


def operator() -> Actor:
    """Whoever works on the store itself: all of it is theirs."""
    return Actor(user_name())


def jobs(settings: Settings, store: Store, actor: Actor | None = None) -> Jobs:
    """The requests about jobs, made by somebody, by default by this account."""
    return Jobs(store, settings.home, actor or operator(), Bounds.of(settings))


def yardmaster(settings: Settings, store: Store, actor: Actor | None = None) -> Yardmaster:
    """The requests about groups and devices."""
    from runyard.service.yardmaster import Yardmaster

    return Yardmaster(store, settings.home, actor or operator(), settings.lease_seconds)


def templates(settings: Settings, store: Store, actor: Actor | None = None) -> Templates:
    """The requests about templates."""
    from runyard.service.templates import Templates

    who = actor or operator()
    return Templates(store, jobs(settings, store, who), who)


def accounts(settings: Settings, store: Store, actor: Actor | None = None) -> Accounts:
    """The requests about users and tokens."""
    from runyard.service.accounts import Accounts

    return Accounts(store, actor or operator())


def sign_in(settings: Settings, store: Store) -> SignIn:
    """Who may come in; signs with the configured keys or with one that the home keeps."""
    from runyard.service.credentials import Signer, kept_key
    from runyard.service.signin import SignIn

    return SignIn(store, Signer(settings.secrets or (kept_key(settings.home.secret),)))


def schedules(settings: Settings, store: Store, actor: Actor | None = None) -> Schedules:
    """The requests about schedules."""
    from runyard.service.schedules import Schedules

    return Schedules(store, actor or operator())


def reckoning(settings: Settings, config_path: str | None = None) -> Reckoning:
    """What explanations reckon with, as workers with the same configuration do."""
    from runyard import configfile
    from runyard.service.waiting import Reckoning

    config = configfile.load(config_path)
    return Reckoning(settings.lease_seconds, config.group_slots, config.weights)


def worker(
    settings: Settings, store: Store, options: WorkerOptions, observer: Observer | None = None
) -> Worker:
    """A worker of this home."""
    # Imported when needed: a command that only looks must not wait for what it does not use.
    from runyard.engine.worker import Worker

    return Worker(store, settings, options, observer, chores=_chores(settings, store, options))


def _chores(settings: Settings, store: Store, options: WorkerOptions) -> list[Loop]:
    """What workers do for everybody. One that serves a single run does nothing for others."""
    return [] if options.reserved else [_timekeeper(settings, store)]


def _timekeeper(settings: Settings, store: Store) -> Loop:
    from runyard.engine.loop import Loop
    from runyard.service.timekeeper import Timekeeper

    run = settings.home.run
    keeper = Timekeeper(store, Bounds.of(settings), lambda: presence.wake_workers(run))
    return Loop("timekeeper", Timekeeper.INTERVAL, keeper)


@contextmanager
def order_kept(settings: Settings, store: Store) -> Iterator[None]:
    """Until the block ends, do what workers do for the whole yard: a server must be right about
    it also while none of them is there."""
    from runyard.clock import SystemClock
    from runyard.engine.housekeeping import housekeeping

    run = settings.home.run
    loops = [
        *housekeeping(store, settings, SystemClock(), lambda: presence.wake_workers(run)),
        _timekeeper(settings, store),
    ]
    with ExitStack() as stack:
        for loop in loops:
            loop.start()
            stack.callback(loop.stop)
        yield


def ensure_worker(settings: Settings, config_path: str | None = None) -> bool:
    """Start a background worker unless one serves this home; returns whether one was started.

    We take the lock of the one there may be and leave it to the worker: however many processes
    come here at once, no two of them start one.
    """
    run = settings.home.run
    lock = None if presence.is_served(run) else presence.take_background_lock(run)
    if lock is None:
        return False
    try:
        _start_in_background(settings, lock, config_path)
    finally:
        os.close(lock)
    return True


def _start_in_background(settings: Settings, lock: int, config_path: str | None) -> None:
    try:
        log = settings.home.worker_log.open("ab")
    except OSError as error:
        raise HomeUnusable(
            f"no worker could be started: {settings.home.worker_log}: {error.strerror}"
        ) from error
    with log:
        start_worker(
            settings,
            ["--background", str(lock)],
            config_path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
        )


def start_worker(
    settings: Settings, arguments: Sequence[str], config_path: str | None, **how: Any
) -> subprocess.Popen[bytes]:
    """Start a worker of a home in a process of its own; ``how`` is for ``Popen``."""
    # A job may be what starts it, but it must not be taken for a part of that job.
    environment = settings.environment()
    from runyard import configfile

    # It starts in another directory than ours.
    if (config := configfile.path_in_force(config_path)) is not None:
        environment[CONFIG_VARIABLE] = str(config)
    for name in OF_A_JOB:
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "runyard", "worker", *arguments],
        env=environment,
        cwd=settings.home.root,
        **how,
    )
