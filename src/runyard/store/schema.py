"""The tables. Hot rows (``jobs``) are narrow; what is read once per attempt lives in ``job_specs``.

Instants are POSIX seconds. ``seq`` is the internal key, in order of submission; ``id`` is what
people see. CHECK constraints refuse rows that cannot be, whoever writes them.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
    true,
)
from sqlalchemy.sql.elements import TextClause

from runyard.domain.job import AttemptState, Reason, State
from runyard.domain.slot import SlotState

# SQLite gives rowid tables their fast integer key only for a column typed INTEGER.
Seq = BigInteger().with_variant(Integer, "sqlite")
# Ids are compared byte by byte, so that a prefix is a range of the index in every locale.
Id = String(collation="C").with_variant(String(), "sqlite")

# What is counted of jobs: how many came, and how many ended so.
COUNTED = ("submitted", "passed", "failed", "cancelled", "skipped")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def one_of(column: str, values: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(v.value) for v in values)})"


# Jobs of one (org, target, app version) share an install. A pool is a set of groups kept for one
# worker (a foreground run); "" is open to all. "" as app_version_id means none: such a group is
# a lane. ``queued`` and ``work`` (expected seconds of what is queued) lack the tallies that are
# not folded in yet; ``installs`` and ``started`` count for as long as the group is there.
groups = Table(
    "groups",
    metadata,
    Column("id", Seq, primary_key=True, autoincrement=True),
    Column("pool", String, nullable=False),
    Column("org_id", String, nullable=False),
    Column("target", String, nullable=False),
    Column("app_version_id", String, nullable=False),
    Column("queued", Integer, nullable=False, server_default="0"),
    Column("work", Double, nullable=False, server_default="0"),
    Column("started", Integer, nullable=False, server_default="0"),
    Column("installs", Integer, nullable=False, server_default="0"),
    Column("folded", Integer, nullable=False, server_default="0"),  # the number of the last fold
    Column("folded_at", Double, nullable=False, server_default="0"),
    UniqueConstraint("pool", "org_id", "target", "app_version_id"),
    Index("ix_groups_folded", "folded"),
    # A number is never given twice: workers and pauses name groups by it.
    sqlite_autoincrement=True,
)

# The jobs of a group that share submitter, limit and priority: they all may start or all may not,
# and none is more urgent than the first. So the head of a queue hides nothing.
queues = Table(
    "queues",
    metadata,
    Column("id", Seq, primary_key=True, autoincrement=True),
    Column("group_id", Seq, ForeignKey("groups.id"), nullable=False),
    Column("submitted_by", String, nullable=False),
    Column("limit_key", String, nullable=False),  # "" for none
    Column("priority", Integer, nullable=False),
    UniqueConstraint("group_id", "submitted_by", "limit_key", "priority"),
    sqlite_autoincrement=True,  # as of groups
)

# What transactions changed of groups and of usage, folded into both by the promoter: a row that
# every claim of a busy lane updated would make them wait for each other.
tallies = Table(
    "tallies",
    metadata,
    Column("id", Seq, primary_key=True, autoincrement=True),
    Column("queue_id", Seq, nullable=False),
    Column("queued", Integer, nullable=False),
    Column("work", Double, nullable=False),
    Column("started", Integer, nullable=False),
    Column("used", Double, nullable=False),  # slot seconds
    *(Column(name, Integer, nullable=False, server_default="0") for name in COUNTED),
    sqlite_autoincrement=True,
)

# How many jobs a user of an org ever submitted, and how they ended. What has not ended waits or
# runs. Lacks the tallies that are not folded in yet.
totals = Table(
    "totals",
    metadata,
    Column("org_id", String, primary_key=True),
    Column("submitted_by", String, primary_key=True),
    *(Column(name, BigInteger, nullable=False) for name in COUNTED),
)

# Slot seconds of each submitter, decayed to the instant ``at``.
usage = Table(
    "usage",
    metadata,
    Column("target", String, primary_key=True),
    Column("org_id", String, primary_key=True),
    Column("submitted_by", String, primary_key=True),
    Column("seconds", Double, nullable=False),
    Column("at", Double, nullable=False),
)

# How long passed attempts took lately: ``samples`` is a JSON list of seconds, the newest last, and
# ``seconds`` what the next one is expected to take.
durations = Table(
    "durations",
    metadata,
    Column("target", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("samples", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

# How far into the events somebody has read who reads all of them; how often tallies were folded.
cursors = Table(
    "cursors",
    metadata,
    Column("name", String, primary_key=True),
    Column("seq", Seq, nullable=False),
)

# At most ``maximum`` running jobs of a user, org, target or named key.
limits = Table(
    "limits",
    metadata,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("maximum", Integer, nullable=False),
    # Else a job asked for it, and the next one may ask for another.
    Column("by_hand", Boolean, nullable=False, server_default=true()),
    CheckConstraint("kind IN ('user', 'org', 'target', 'key', 'org-key')", name="kind"),
    CheckConstraint("maximum >= 0", name="maximum"),
)

# What shall not start for now; a group is named by its id.
pauses = Table(
    "pauses",
    metadata,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("since", Double, nullable=False),
    CheckConstraint("kind IN ('org', 'target', 'group')", name="kind"),
)

batches = Table(
    "batches",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("id", Id, nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("description", Text, nullable=False),
    Column("org_id", String, nullable=False),
    Column("submitted_by", String, nullable=False),
    Column("total", Integer, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("submitted_at", Double, nullable=False),
    Column("finished_at", Double),
    CheckConstraint(
        "passed >= 0 AND failed >= 0 AND cancelled >= 0 AND skipped >= 0", name="counters"
    ),
    CheckConstraint(
        "(passed + failed + cancelled + skipped = total) = (finished_at IS NOT NULL)",
        name="finished",
    ),
    sqlite_autoincrement=True,
)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("id", Id, nullable=False, unique=True),
    Column("queue_id", Seq, ForeignKey("queues.id"), nullable=False),
    Column("batch_seq", Seq, ForeignKey("batches.seq")),
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("exit_code", Integer),
    Column("priority", Integer, nullable=False),
    Column("rank", Double, nullable=False),
    Column("behind", Double, nullable=False),  # orders equals: see policy's work_behind
    Column("expected", Double),  # seconds, by history; NULL without any
    Column("avoids", String),  # the slots where infrastructure failed it, one a line
    Column("avoids_until", Double),
    Column("waiting_on", Integer, nullable=False),
    Column("run_after", Double),
    Column("fence", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("losses", Integer, nullable=False),
    Column("worker", String),
    Column("slot", String),
    Column("lease_until", Double),
    Column("claimed_at", Double),
    Column("cancel_requested", Boolean, nullable=False),
    Column("submitted_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    CheckConstraint(one_of("state", State), name="state"),
    CheckConstraint(one_of("reason", Reason), name="reason_known"),
    CheckConstraint("(state = 'failed') = (reason IS NOT NULL)", name="reason"),
    CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
    CheckConstraint("(state = 'running') = (worker IS NOT NULL)", name="worker"),
    CheckConstraint("(state = 'running') = (claimed_at IS NOT NULL)", name="claimed"),
    CheckConstraint("(state = 'delayed') <= (run_after IS NOT NULL)", name="delayed"),
    CheckConstraint(
        "(state = 'blocked') = (waiting_on > 0 AND finished_at IS NULL)", name="blocked"
    ),
    CheckConstraint(
        "(state IN ('passed', 'failed', 'cancelled', 'skipped')) = (finished_at IS NOT NULL)",
        name="finished",
    ),
    CheckConstraint("waiting_on >= 0 AND fence >= 0 AND failures >= 0", name="counts"),
    CheckConstraint("priority BETWEEN 0 AND 10", name="priority"),
    # A number is never given twice, also after pruning: with a new job's number and fence, a
    # worker that slept through the retention of the old job could finish the new one.
    sqlite_autoincrement=True,
)

job_specs = Table(
    "job_specs",
    metadata,
    Column(
        "job_seq",
        Seq,
        ForeignKey("jobs.seq", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("name", String, nullable=False),
    Column("spec", Text, nullable=False),  # JobSpec as JSON
)

job_labels = Table(
    "job_labels",
    metadata,
    Column("job_seq", Seq, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("label", String, primary_key=True),
    Column("value", String, nullable=False),
    Index("ix_job_labels_label_value", "label", "value", "job_seq"),
)

dependencies = Table(
    "dependencies",
    metadata,
    Column("job_seq", Seq, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("on_seq", Seq, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Index("ix_dependencies_on_seq", "on_seq", "job_seq"),
    sqlite_with_rowid=False,
)

# Ended attempts only: while one runs, the job's own row is its record. An attempt's number is its
# place among those of its job: a claim that was given back before anything began leaves no row.
attempts = Table(
    "attempts",
    metadata,
    Column("job_seq", Seq, ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("fence", Integer, primary_key=True),  # under which it ran
    Column("state", String, nullable=False),
    Column("reason", String),
    Column("exit_code", Integer),
    Column("signal", Integer),
    Column("worker", String),
    Column("slot", String),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double, nullable=False),
    Column("setup_seconds", Double),  # of these, what preparing the slot took
    Column("cpu_seconds", Double),
    Column("max_rss_bytes", BigInteger),
    CheckConstraint(one_of("state", AttemptState), name="state"),
    CheckConstraint("state <> 'running'", name="ended"),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("seq", Seq, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("kind", String, nullable=False),
    Column("job_seq", Seq, nullable=False),
    Column("fence", Integer),  # of the attempt meant
    Column("data", Text),
    Index("ix_events_job_seq", "job_seq"),
    sqlite_autoincrement=True,  # a number is never given twice, also after pruning
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("org_id", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("job_seq", Seq, ForeignKey("jobs.seq", ondelete="CASCADE")),
    Column("job_seqs", Text),  # JSON list, where it was more than that one job
    Column("batch_seq", Seq, ForeignKey("batches.seq", ondelete="CASCADE")),
)

workers = Table(
    "workers",
    metadata,
    Column("id", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pool", String, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("targets", Text),  # JSON list, or NULL for all
    Column("started_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
)

# The places of workers. ``group_id`` is the group whose build is installed, which it holds.
slots = Table(
    "slots",
    metadata,
    Column("worker", String, ForeignKey("workers.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("target", String),  # NULL for any
    Column("group_id", Seq, ForeignKey("groups.id", ondelete="SET NULL")),
    Column("state", String, nullable=False),
    Column("since", Double, nullable=False),  # in this state
    Column("ready_at", Double),  # when the install of the group's build is expected to be over
    Column("reason", Text),
    Column("failures", Text, nullable=False),  # JSON: jobs that failed here, in a row
    CheckConstraint(one_of("state", SlotState), name="state"),
    Index("ix_slots_group_id", "group_id"),
)


def in_state(state: State) -> TextClause:
    """``jobs.state = '...'`` with the state as a literal: a bound value would hide from the
    planner that the partial index of that state fits."""
    return text(f"jobs.state = '{state.value}'")


# The order in which the jobs of a queue start, as the index of queued jobs has it.
IN_ORDER = (jobs.c.rank, jobs.c.behind.desc(), jobs.c.seq)
