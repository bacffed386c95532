"""A scaling keeps the containers of the deployment before it."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("workload_id", sa.String(36), nullable=True))


def downgrade() -> None:
    op.drop_column("deployments", "workload_id")
