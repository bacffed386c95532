"""That a project is being deleted with all in it, and why that failed the last time."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("projects", sa.Column("deleting_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("projects", sa.Column("deletion_problem", sa.String(1000), server_default="", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("projects") as batch:
        batch.drop_column("deletion_problem")
        batch.drop_column("deleting_since")
