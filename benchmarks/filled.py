"""A database with a history: jobs of three orgs, most of them long over, in batches and alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from sqlalchemy import create_engine, make_url, text

from runyard.domain.ids import batch_id, job_ids
from runyard.policy.estimate import UNKNOWN_SECONDS
from runyard.store import tallies
from runyard.store.database import Store, Tx
from runyard.store.submit import NewBatch, NewJob, submit

ORGS = ("acme", "globex", "initech")
CHUNK = 50_000  # jobs of one transaction
SPEC = '{"command":["pytest","tests/test_login.py"],"name":"login"}'
PER_BATCH = 1_000
STILL_QUEUED = 2_000  # the newest ones
LAYER = 50  # jobs of a graph that wait for the same ones


def fill(store: Store, count: int) -> str:
    """Save so many jobs; all but the newest have run, one in fifty failed. Returns the id of one
    in the middle."""
    ids: list[str] = []
    for start in range(0, count, CHUNK):
        amount = min(CHUNK, count - start)
        fresh = job_ids(amount)
        ids += fresh[:1]
        for part in range(0, amount, PER_BATCH):
            number = (start + part) // PER_BATCH
            org = ORGS[number % len(ORGS)]
            rows = [_job(one, org, number) for one in fresh[part : part + PER_BATCH]]
            # Every second thousand is a batch.
            batch = NewBatch(batch_id(), f"night {number}", org) if number % 2 else None
            store.write(partial(submit, new=rows, batch=batch), relaxed=True)
    store.write(lambda tx: _let_them_end(tx, 0, _newest(tx) - STILL_QUEUED))
    while store.write(tallies.fold):
        pass
    _tidy(store.url)
    return ids[len(ids) // 2]


def graph(store: Store, members: int) -> str:
    """Save a batch in layers, each of whose jobs needs two of the layer before; the first half has
    run. Returns its id."""
    before = store.write(_newest)
    fresh = [
        replace(
            _job(one, ORGS[0], 0),
            name=f"step {n}",
            needs=tuple({n - LAYER, n - LAYER + (n + 1) % LAYER - n % LAYER}) if n >= LAYER else (),
        )
        for n, one in enumerate(job_ids(members))
    ]
    batch = NewBatch(batch_id(), f"graph of {members}", ORGS[0])
    store.write(partial(submit, new=fresh, batch=batch), relaxed=True)
    store.write(lambda tx: _let_them_end(tx, before, before + members // 2))
    _tidy(store.url)
    return batch.id


def _newest(tx: Tx) -> int:
    return int(tx.conn.execute(text("SELECT coalesce(max(seq), 0) FROM jobs")).scalar_one())


def _job(fresh: str, org: str, number: int) -> NewJob:
    return NewJob(
        id=fresh,
        name="login",
        spec=SPEC,
        org_id=org,
        target="local",
        app_version_id=None,
        priority=5,
        run_after=None,
        submitted_by=f"user{number % 7}",
    )


def _let_them_end(tx: Tx, after: int, until: int) -> None:
    """What would take an engine an hour, in a few statements."""
    which = {"after": after, "until": until}
    over = (
        "UPDATE jobs SET state = CASE WHEN seq % 50 = 0 THEN 'failed' ELSE 'passed' END,"
        " reason = CASE WHEN seq % 50 = 0 THEN 'exit_code' END,"
        " exit_code = CASE WHEN seq % 50 = 0 THEN 1 ELSE 0 END, fence = 1,"
        " started_at = submitted_at + 0.001 * (seq % 1000),"
        " finished_at = submitted_at + 3"
        " WHERE seq > :after AND seq <= :until"
    )
    attempts = (
        "INSERT INTO attempts (job_seq, fence, state, reason, exit_code, worker, slot, started_at,"
        " finished_at) SELECT seq, 1, state, reason, exit_code, 'worker-0',"
        " CAST(seq % 20 AS TEXT), started_at, finished_at FROM jobs"
        " WHERE seq > :after AND seq <= :until"
    )
    ended = (
        "SELECT count(*) FROM jobs WHERE jobs.batch_seq = batches.seq AND jobs.state = '{state}'"
    )
    counters = (
        f"UPDATE batches SET passed = ({ended.format(state='passed')}),"
        f" failed = ({ended.format(state='failed')}),"
        " finished_at = CASE WHEN total = (SELECT count(*) FROM jobs WHERE jobs.batch_seq ="
        " batches.seq AND jobs.finished_at IS NOT NULL) THEN submitted_at + 3 END"
    )
    tallied = (
        "INSERT INTO tallies (queue_id, queued, work, started, used, passed, failed)"
        f" SELECT queue_id, -count(*), -{UNKNOWN_SECONDS} * count(*), count(*), 2.0 * count(*),"
        " sum(CASE state WHEN 'passed' THEN 1 ELSE 0 END),"
        " sum(CASE state WHEN 'failed' THEN 1 ELSE 0 END)"
        " FROM jobs WHERE seq > :after AND seq <= :until GROUP BY queue_id"
    )
    for statement in (over, attempts, tallied):
        tx.conn.execute(text(statement), which)
    tx.conn.execute(text(counters))


def _tidy(url: str) -> None:
    """What PostgreSQL does by itself while a history grows, and a minute late when it comes all at
    once: until then every look at an index meets each job as it was before."""
    if make_url(url).get_backend_name() == "postgresql":
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as conn:
            conn.execute(text("VACUUM ANALYZE"))
        engine.dispose()
