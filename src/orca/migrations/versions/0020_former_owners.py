"""Whose a volume was before a deployment gave it to another user."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("former_owners", sa.JSON(), server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("deployments", "former_owners")
