"""Say briefly what the tests of the store say often."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL, make_url, select, text

from runyard.clock import ManualClock
from runyard.domain import ids
from runyard.domain.batch import Batch
from runyard.domain.event import EventKind
from runyard.domain.job import Job, JobSpec, State
from runyard.domain.lifecycle import Cause, Outcome
from runyard.store import batches, views
from runyard.store import claim as claims
from runyard.store import finish as finishes
from runyard.store import submit as submits
from runyard.store.claim import Claim, Claimer
from runyard.store.database import Store
from runyard.store.finish import Ended, Finished
from runyard.store.once import IdempotencyKey
from runyard.store.schema import jobs, metadata
from runyard.store.submit import NewBatch, NewJob
from runyard.store.upgrade import upgrade
from runyard.store.yard import FreeSlot

on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
on_new_postgresql = pytest.mark.parametrize("store_url", ["new postgresql"], indirect=True)

LEASE = 30.0
PASS = Outcome(Cause.EXITED, exit_code=0, cpu_seconds=0.5, max_rss_bytes=1 << 20)
FAIL = Outcome(Cause.EXITED, exit_code=1)

_OF_NEW_JOB = frozenset(
    {"org_id", "target", "app_version_id", "priority", "run_after", "needs", "needs_ids"}
    | {"bottom_level", "labels", "id", "submitted_by", "limit_key", "limit", "expected"}
)


def new(name: str = "", **fields: Any) -> NewJob:
    """A job on its way in; what is no field of ``NewJob`` goes into its ``JobSpec``."""
    own = {field: fields.pop(field) for field in _OF_NEW_JOB & fields.keys()}
    in_spec = {field: own[field] for field in ("labels", "priority") if field in own}
    spec = JobSpec(command=["true"], name=name, **in_spec, **fields)
    standard = {
        "id": ids.job_ids(1)[0],
        "org_id": "default",
        "target": "local",
        "app_version_id": None,
        "priority": 5,
        "run_after": None,
    }
    return NewJob(name=spec.title, spec=spec.model_dump_json(), **(standard | own))


def submit(
    store: Store,
    *new_jobs: NewJob | str,
    batch: str | None = None,
    pool: str = "",
    key: IdempotencyKey | None = None,
) -> list[int]:
    """Save jobs (a string is the name of an ordinary one); returns their sequence numbers."""
    made = [new(job) if isinstance(job, str) else job for job in new_jobs]
    in_batch = NewBatch(batch, f"batch {batch}", "default") if batch else None
    store.write(lambda tx: submits.submit(tx, made, in_batch, pool=pool, key=key))
    with store.read() as tx:
        return [views.seq_of(tx, job.id) for job in made]


def seq_of(store: Store, job_id: str) -> int:
    with store.read() as tx:
        return views.seq_of(tx, job_id)


def claim(store: Store, slots: int = 1, worker: str = "w1", **claimer: Any) -> list[Claim]:
    """Claim for a worker with so many free slots, called s0, s1, …"""
    who = Claimer(worker, **({"lease_seconds": LEASE} | claimer))
    free = [FreeSlot(f"s{n}") for n in range(slots)]
    return store.write(lambda tx: claims.claim(tx, who, free), relaxed=True)


def names(claimed: list[Claim]) -> list[str]:
    return [one.name for one in claimed]


def finish(store: Store, claimed: Claim, outcome: Outcome = PASS) -> Finished:
    ended = [Ended(claimed.seq, claimed.fence, outcome)]
    return store.write(lambda tx: finishes.finish(tx, ended), relaxed=True)


def run_next(store: Store, outcome: Outcome = PASS) -> Claim:
    """One whole attempt of the next job."""
    (claimed,) = claim(store)
    finish(store, claimed, outcome)
    return claimed


def get(store: Store, seq: int) -> Job:
    with store.read() as tx:
        return views.get(tx, seq)


def row(store: Store, seq: int) -> Any:
    """A job as the database holds it."""
    with store.read() as tx:
        return tx.conn.execute(select(jobs).where(jobs.c.seq == seq)).one()


def states(store: Store, *seqs: int) -> list[State]:
    return [get(store, seq).state for seq in seqs]


def history(store: Store, seq: int) -> list[EventKind]:
    with store.read() as tx:
        return [event.kind for event in views.history(tx, [seq])]


def batch(store: Store, batch_id: str) -> Batch:
    with store.read() as tx:
        return batches.batch(tx, views.batch_seq_of(tx, batch_id))


def in_parallel(*works: Callable[[], Any]) -> list[Any]:
    """Do all at once, each in a thread; returns the results, or raises what one raised."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(work) for work in works]]


def in_processes(work: Callable[..., Any], *arguments: tuple[Any, ...]) -> list[Any]:
    """The same in processes of their own, one for each tuple of arguments, begun together."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    barrier = context.Barrier(len(arguments))
    with ProcessPoolExecutor(
        len(arguments), mp_context=context, initializer=_meet_at, initargs=(barrier,)
    ) as pool:
        return [f.result() for f in [pool.submit(_together, work, a) for a in arguments]]


_met_at: Any = None


def _meet_at(barrier: Any) -> None:
    global _met_at  # noqa: PLW0603 - the only way from an initializer to the work
    _met_at = barrier


def _together(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    _met_at.wait(60)
    return work(*arguments)


def upgraded(url: str, clock: ManualClock | None = None) -> Store:
    store = Store(url, clock)
    upgrade(store)
    return store


@contextmanager
def copy_of(template: str) -> Iterator[str]:
    """A PostgreSQL database that begins as a copy of another, for as long as the context lasts."""
    url = make_url(template)
    name = f"t_{uuid4().hex}"
    with connection_to(url.set(database="postgres")) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {url.database}")
        try:
            yield url.set(database=name).render_as_string(False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def empty(url: str) -> None:
    """Forget all that a PostgreSQL database holds, and whoever is still connected to it."""
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    with connection_to(make_url(url)) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        connection.execute(f"TRUNCATE {tables} RESTART IDENTITY")


def connection_to(url: URL) -> psycopg.Connection[Any]:
    libpq = url.set(drivername="postgresql").render_as_string(False)
    return psycopg.connect(libpq, autocommit=True)


def end_connections(url: str, but: int = 0) -> None:
    """End every other connection to a database, as a server does that restarts."""
    query = text(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), :but)"
    )
    other = Store(url)
    other.write(lambda tx: tx.conn.execute(query, {"but": but}))
    other.close()
