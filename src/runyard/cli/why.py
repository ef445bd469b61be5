"""Tells whoever waits why nothing happens."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from runyard.cli.params import printable
from runyard.domain.ids import is_batch_id
from runyard.domain.job import Job, State
from runyard.domain.listing import JobFilter

if TYPE_CHECKING:
    from runyard.client.requests import Requests

PAUSES = (3.0, 7.0, 20.0)  # seconds before each look; the last one again and again
MOST = 5  # ids that are looked at
STUCK = frozenset({"no_worker", "no_target", "no_device", "paused"})  # somebody has to act


def on_stderr(text: str) -> None:
    """Where it is told unless a picture is there."""
    click.echo(text, err=True)


@contextlib.contextmanager
def told_why(
    here: Requests, ids: Sequence[str], tell: Callable[[str], None] = on_stderr
) -> Iterator[None]:
    """While the block waits for jobs or batches: tell once, as ``explain`` would, if nothing can
    happen before somebody acts."""
    over = threading.Event()
    thread = threading.Thread(target=_look, args=(here, ids, tell, over), name="why", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(1.0)  # it may be asking a server that is away


def _look(
    here: Requests, ids: Sequence[str], tell: Callable[[str], None], over: threading.Event
) -> None:
    for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
        if over.wait(pause):
            return
        # What is wrong with the store or the server, whoever waits hears of anyway.
        with contextlib.suppress(Exception):
            if (reason := _reason(here, ids)) and not over.is_set():
                tell(printable(reason))
                return


def _reason(here: Requests, ids: Sequence[str]) -> str | None:
    for one in ids[:MOST]:
        if (job := _queued(here, one)) is not None:
            found = here.explain(job.id)
            if found.code in STUCK:
                return f"{job.id} is {found.text}"
    return None


def _queued(here: Requests, one: str) -> Job | None:
    """A job that could start, where none runs."""
    if not is_batch_id(one):
        job = here.jobs.get(one)
        return job if job.state is State.QUEUED else None
    batch = here.jobs.get_batch(one)
    if batch.running or not batch.waiting:
        return None
    queued = here.jobs.page(JobFilter(frozenset({State.QUEUED}), batch.id), 1).jobs
    return queued[0] if queued else None
