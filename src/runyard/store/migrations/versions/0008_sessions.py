"""When a session was renewed last, in place of its secret before that; failures by name and address.

Failures are forgotten within minutes anyway, so their table is made anew: SQLite cannot change
a constraint.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("renewed_at", sa.Double(), nullable=True))
    op.drop_column("sessions", "previous")
    op.drop_table("login_failures")
    _create_failures("kind IN ('user', 'address', 'pair')")


def downgrade() -> None:
    op.drop_table("login_failures")
    _create_failures("kind IN ('user', 'address')")
    op.add_column("sessions", sa.Column("previous", sa.String(), nullable=True))
    op.drop_column("sessions", "renewed_at")


def _create_failures(check: str) -> None:
    op.create_table(
        "login_failures",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.CheckConstraint(check, name=op.f("ck_login_failures_kind")),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_login_failures")),
    )
