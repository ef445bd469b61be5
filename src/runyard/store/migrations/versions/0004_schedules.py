"""Schedules of templates."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Seq = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Id = sa.String(collation="C").with_variant(sa.String(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", Seq, autoincrement=True, nullable=False),
        sa.Column("org_id", Id, nullable=False),
        sa.Column("name", Id, nullable=False),
        sa.Column("template", Id, nullable=False),
        sa.Column("cron", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("missed", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("user_id", Seq, nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("paused_at", sa.Double(), nullable=True),
        sa.Column("next_at", sa.Double(), nullable=True),
        sa.Column("last_due", sa.Double(), nullable=True),
        sa.Column("last_batch", sa.String(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(paused_at IS NULL) = (next_at IS NOT NULL)", name=op.f("ck_schedules_next")
        ),
        sa.CheckConstraint("missed IN ('skip', 'once', 'all')", name=op.f("ck_schedules_missed")),
        sa.ForeignKeyConstraint(
            ["org_id", "template"],
            ["templates.org_id", "templates.name"],
            name=op.f("fk_schedules_org_id_template"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("org_id", "name", name=op.f("uq_schedules_org_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"], unique=False)
    op.create_index("ix_schedules_template", "schedules", ["org_id", "template"], unique=False)


def downgrade() -> None:
    op.drop_table("schedules")
