"""What becomes of a run of a schedule that is due while the last one is not over."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The check belongs to the column: SQLite adds no other to a table that exists.
    check = sa.CheckConstraint(
        "overlap IN ('skip', 'allow', 'replace')", name=op.f("ck_schedules_overlap")
    )
    # Schedules that exist go on as they did.
    op.add_column(
        "schedules",
        sa.Column("overlap", sa.String(), check, nullable=False, server_default="allow"),
    )


def downgrade() -> None:
    op.drop_column("schedules", "overlap")
