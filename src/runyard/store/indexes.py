"""Indexes that are partial, most of them of the hot table: each holds only the jobs of one state.

Apart from the tables, and imported by migrations only: naming PostgreSQL's options makes
SQLAlchemy load that dialect, which every command on SQLite would wait for.
"""

from __future__ import annotations

from sqlalchemy import Index, text

from runyard.store.schema import jobs
from runyard.store.user_tables import audit

# The order in which a queue's jobs start; holds queued jobs only, so it is as small as the queue.
Index(
    "ix_jobs_queued",
    jobs.c.queue_id,
    jobs.c.rank,
    jobs.c.behind.desc(),
    jobs.c.seq,
    sqlite_where=text("state = 'queued'"),
    postgresql_where=text("state = 'queued'"),
)
# Its beginning is the best class that any queued job has.
Index(
    "ix_jobs_rank",
    jobs.c.rank,
    sqlite_where=text("state = 'queued'"),
    postgresql_where=text("state = 'queued'"),
)
Index(
    "ix_jobs_avoids",
    jobs.c.avoids,
    sqlite_where=text("state = 'queued' AND avoids IS NOT NULL"),
    postgresql_where=text("state = 'queued' AND avoids IS NOT NULL"),
)
Index(
    "ix_jobs_delayed",
    jobs.c.run_after,
    sqlite_where=text("state = 'delayed'"),
    postgresql_where=text("state = 'delayed'"),
)
Index(
    "ix_jobs_running",
    jobs.c.worker,
    sqlite_where=text("state = 'running'"),
    postgresql_where=text("state = 'running'"),
)
# To tell a queue that nothing is left of from others, of which there may be as many.
Index("ix_jobs_queue_id", jobs.c.queue_id)
Index(
    "ix_jobs_batch_seq",
    jobs.c.batch_seq,
    sqlite_where=text("batch_seq IS NOT NULL"),
    postgresql_where=text("batch_seq IS NOT NULL"),
)
Index(
    "ix_jobs_finished_at",
    jobs.c.finished_at,
    sqlite_where=text("finished_at IS NOT NULL"),
    postgresql_where=text("finished_at IS NOT NULL"),
)
# Of a long record what anybody can add to: it is summed up, and forgotten in time.
Index(
    "ix_audit_failed",
    audit.c.at,
    sqlite_where=text("action = 'sign_in.failed'"),
    postgresql_where=text("action = 'sign_in.failed'"),
)
