"""An index of the failed sign-ins among the audit, to sum them up and to forget them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("action = 'sign_in.failed'")
    op.create_index("ix_audit_failed", "audit", ["at"], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_index("ix_audit_failed", "audit")
