"""How many jobs of each user there were, and how they ended."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COUNTED = ("submitted", "passed", "failed", "cancelled", "skipped")


def upgrade() -> None:
    for name in COUNTED:
        op.add_column("tallies", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.create_table(
        "totals",
        sa.Column("org_id", sa.String(), nullable=False),
        sa.Column("submitted_by", sa.String(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTED),
        sa.PrimaryKeyConstraint("org_id", "submitted_by", name=op.f("pk_totals")),
    )
    ended = ", ".join(
        f"SUM(CASE WHEN jobs.state = '{name}' THEN 1 ELSE 0 END)" for name in COUNTED[1:]
    )
    op.execute(
        "INSERT INTO totals (org_id, submitted_by, submitted, passed, failed, cancelled, skipped)"
        f" SELECT groups.org_id, queues.submitted_by, COUNT(*), {ended} FROM jobs"
        " JOIN queues ON queues.id = jobs.queue_id JOIN groups ON groups.id = queues.group_id"
        " GROUP BY groups.org_id, queues.submitted_by"
    )


def downgrade() -> None:
    op.drop_table("totals")
    for name in COUNTED:
        op.drop_column("tallies", name)
