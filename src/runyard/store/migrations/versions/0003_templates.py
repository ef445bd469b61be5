"""Templates."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Id = sa.String(collation="C").with_variant(sa.String(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "templates",
        sa.Column("org_id", Id, nullable=False),
        sa.Column("name", Id, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("directory", sa.String(), nullable=True),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_by", sa.String(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "name", name=op.f("pk_templates")),
    )


def downgrade() -> None:
    op.drop_table("templates")
