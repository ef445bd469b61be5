"""Jobs, batches, groups, attempts, events, workers and their slots."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Seq = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Id = sa.String(collation="C").with_variant(sa.String(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("seq", Seq, autoincrement=True, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("submitted_by", sa.String(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("passed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("submitted_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "(passed + failed + cancelled + skipped = total) = (finished_at IS NOT NULL)",
            name=op.f("ck_batches_finished"),
        ),
        sa.CheckConstraint(
            "passed >= 0 AND failed >= 0 AND cancelled >= 0 AND skipped >= 0",
            name=op.f("ck_batches_counters"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_batches")),
        sa.UniqueConstraint("id", name=op.f("uq_batches_id")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("seq", Seq, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "durations",
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("samples", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("target", "key", name=op.f("pk_durations")),
    )
    op.create_table(
        "events",
        sa.Column("seq", Seq, autoincrement=True, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("job_seq", Seq, nullable=False),
        sa.Column("fence", sa.Integer(), nullable=True),
        sa.Column("data", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_job_seq", "events", ["job_seq"], unique=False)
    op.create_table(
        "groups",
        sa.Column("id", Seq, autoincrement=True, nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("app_version_id", sa.String(), nullable=False),
        sa.Column("queued", sa.Integer(), server_default="0", nullable=False),
        sa.Column("work", sa.Double(), server_default="0", nullable=False),
        sa.Column("started", sa.Integer(), server_default="0", nullable=False),
        sa.Column("installs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("folded", sa.Integer(), server_default="0", nullable=False),
        sa.Column("folded_at", sa.Double(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint(
            "pool",
            "org_id",
            "target",
            "app_version_id",
            name=op.f("uq_groups_pool_org_id_target_app_version_id"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_groups_folded", "groups", ["folded"])
    op.create_table(
        "limits",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("maximum", sa.Integer(), nullable=False),
        sa.CheckConstraint("kind IN ('user', 'org', 'target', 'key')", name=op.f("ck_limits_kind")),
        sa.CheckConstraint("maximum >= 0", name=op.f("ck_limits_maximum")),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_limits")),
    )
    op.create_table(
        "pauses",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.CheckConstraint("kind IN ('org', 'target', 'group')", name=op.f("ck_pauses_kind")),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_pauses")),
    )
    op.create_table(
        "tallies",
        sa.Column("id", Seq, autoincrement=True, nullable=False),
        sa.Column("queue_id", Seq, nullable=False),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column("work", sa.Double(), nullable=False),
        sa.Column("started", sa.Integer(), nullable=False),
        sa.Column("used", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tallies")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "usage",
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("submitted_by", sa.String(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("target", "org_id", "submitted_by", name=op.f("pk_usage")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("pool", sa.String(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("targets", sa.Text(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "queues",
        sa.Column("id", Seq, autoincrement=True, nullable=False),
        sa.Column("group_id", Seq, nullable=False),
        sa.Column("submitted_by", sa.String(), nullable=False),
        sa.Column("limit_key", sa.String(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_queues_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_queues")),
        sa.UniqueConstraint(
            "group_id",
            "submitted_by",
            "limit_key",
            "priority",
            name=op.f("uq_queues_group_id_submitted_by_limit_key_priority"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "slots",
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=True),
        sa.Column("group_id", Seq, nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("ready_at", sa.Double(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("failures", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('ready', 'draining', 'quarantined')", name=op.f("ck_slots_state")
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name=op.f("fk_slots_group_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["worker"], ["workers.id"], name=op.f("fk_slots_worker"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("worker", "name", name=op.f("pk_slots")),
    )
    op.create_index("ix_slots_group_id", "slots", ["group_id"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("seq", Seq, autoincrement=True, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("queue_id", Seq, nullable=False),
        sa.Column("batch_seq", Seq, nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Double(), nullable=False),
        sa.Column("behind", sa.Double(), nullable=False),
        sa.Column("expected", sa.Double(), nullable=True),
        sa.Column("avoids", sa.String(), nullable=True),
        sa.Column("avoids_until", sa.Double(), nullable=True),
        sa.Column("waiting_on", sa.Integer(), nullable=False),
        sa.Column("run_after", sa.Double(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("slot", sa.String(), nullable=True),
        sa.Column("lease_until", sa.Double(), nullable=True),
        sa.Column("claimed_at", sa.Double(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("submitted_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.CheckConstraint(
            "(state = 'blocked') = (waiting_on > 0 AND finished_at IS NULL)",
            name=op.f("ck_jobs_blocked"),
        ),
        sa.CheckConstraint(
            "(state = 'delayed') <= (run_after IS NOT NULL)", name=op.f("ck_jobs_delayed")
        ),
        sa.CheckConstraint(
            "(state = 'failed') = (reason IS NOT NULL)", name=op.f("ck_jobs_reason")
        ),
        sa.CheckConstraint(
            "(state = 'running') = (claimed_at IS NOT NULL)", name=op.f("ck_jobs_claimed")
        ),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_jobs_lease")
        ),
        sa.CheckConstraint(
            "(state = 'running') = (worker IS NOT NULL)", name=op.f("ck_jobs_worker")
        ),
        sa.CheckConstraint(
            "(state IN ('passed', 'failed', 'cancelled', 'skipped')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_finished"),
        ),
        sa.CheckConstraint(
            "reason IN ('exit_code', 'signal', 'timeout', 'silent', 'lost', 'setup', 'not_started')",
            name=op.f("ck_jobs_reason_known"),
        ),
        sa.CheckConstraint(
            "state IN ('blocked', 'delayed', 'queued', 'running', 'passed', 'failed', 'cancelled', 'skipped')",
            name=op.f("ck_jobs_state"),
        ),
        sa.CheckConstraint("priority BETWEEN 0 AND 10", name=op.f("ck_jobs_priority")),
        sa.CheckConstraint(
            "waiting_on >= 0 AND fence >= 0 AND failures >= 0", name=op.f("ck_jobs_counts")
        ),
        sa.ForeignKeyConstraint(["batch_seq"], ["batches.seq"], name=op.f("fk_jobs_batch_seq")),
        sa.ForeignKeyConstraint(["queue_id"], ["queues.id"], name=op.f("fk_jobs_queue_id")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_jobs")),
        sa.UniqueConstraint("id", name=op.f("uq_jobs_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_jobs_avoids",
        "jobs",
        ["avoids"],
        unique=False,
        sqlite_where=sa.text("state = 'queued' AND avoids IS NOT NULL"),
        postgresql_where=sa.text("state = 'queued' AND avoids IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_rank",
        "jobs",
        ["rank"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index("ix_jobs_queue_id", "jobs", ["queue_id"], unique=False)
    op.create_index(
        "ix_jobs_batch_seq",
        "jobs",
        ["batch_seq"],
        unique=False,
        sqlite_where=sa.text("batch_seq IS NOT NULL"),
        postgresql_where=sa.text("batch_seq IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_delayed",
        "jobs",
        ["run_after"],
        unique=False,
        sqlite_where=sa.text("state = 'delayed'"),
        postgresql_where=sa.text("state = 'delayed'"),
    )
    op.create_index(
        "ix_jobs_finished_at",
        "jobs",
        ["finished_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NOT NULL"),
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_queued",
        "jobs",
        ["queue_id", "rank", sa.literal_column("behind DESC"), "seq"],
        unique=False,
        sqlite_where=sa.text("state = 'queued'"),
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_jobs_running",
        "jobs",
        ["worker"],
        unique=False,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "attempts",
        sa.Column("job_seq", Seq, nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("slot", sa.String(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("finished_at", sa.Double(), nullable=False),
        sa.Column("setup_seconds", sa.Double(), nullable=True),
        sa.Column("cpu_seconds", sa.Double(), nullable=True),
        sa.Column("max_rss_bytes", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state <> 'running'", name=op.f("ck_attempts_ended")),
        sa.CheckConstraint(
            "state IN ('running', 'passed', 'failed', 'cancelled', 'lost', 'released')",
            name=op.f("ck_attempts_state"),
        ),
        sa.ForeignKeyConstraint(
            ["job_seq"], ["jobs.seq"], name=op.f("fk_attempts_job_seq"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_seq", "fence", name=op.f("pk_attempts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "dependencies",
        sa.Column("job_seq", Seq, nullable=False),
        sa.Column("on_seq", Seq, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_seq"], ["jobs.seq"], name=op.f("fk_dependencies_job_seq"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["on_seq"], ["jobs.seq"], name=op.f("fk_dependencies_on_seq"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_seq", "on_seq", name=op.f("pk_dependencies")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_dependencies_on_seq", "dependencies", ["on_seq", "job_seq"], unique=False)
    op.create_table(
        "idempotency_keys",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("job_seq", Seq, nullable=True),
        sa.Column("job_seqs", sa.Text(), nullable=True),
        sa.Column("batch_seq", Seq, nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_seq"],
            ["batches.seq"],
            name=op.f("fk_idempotency_keys_batch_seq"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["job_seq"], ["jobs.seq"], name=op.f("fk_idempotency_keys_job_seq"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("org_id", "key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "job_labels",
        sa.Column("job_seq", Seq, nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_seq"], ["jobs.seq"], name=op.f("fk_job_labels_job_seq"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_seq", "label", name=op.f("pk_job_labels")),
    )
    op.create_index(
        "ix_job_labels_label_value", "job_labels", ["label", "value", "job_seq"], unique=False
    )
    op.create_table(
        "job_specs",
        sa.Column("job_seq", Seq, autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_seq"], ["jobs.seq"], name=op.f("fk_job_specs_job_seq"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_seq", name=op.f("pk_job_specs")),
    )


def downgrade() -> None:
    op.drop_table("job_specs")
    op.drop_table("job_labels")
    op.drop_table("idempotency_keys")
    op.drop_table("dependencies")
    op.drop_table("attempts")
    op.drop_table("jobs")
    op.drop_table("slots")
    op.drop_table("queues")
    op.drop_table("workers")
    op.drop_table("usage")
    op.drop_table("tallies")
    op.drop_table("pauses")
    op.drop_table("limits")
    op.drop_table("groups")
    op.drop_table("events")
    op.drop_table("durations")
    op.drop_table("cursors")
    op.drop_table("batches")
