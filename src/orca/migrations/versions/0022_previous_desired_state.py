"""Deployments keep whether the service was to run before them: at no replica it has no targets to tell that by."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("previous_desired_state", sa.String(16), server_default="running", nullable=False)
    op.add_column("deployments", column)


def downgrade() -> None:
    op.drop_column("deployments", "previous_desired_state")
