"""Services say who their process runs as, volumes whose their data is, deployments what would mend them."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("services") as batch_op:
        batch_op.add_column(sa.Column("user", sa.String(130), server_default="", nullable=False))
        batch_op.add_column(sa.Column("masks_secrets", sa.Boolean(), server_default=sa.true(), nullable=False))
    with op.batch_alter_table("volumes") as batch_op:
        batch_op.add_column(sa.Column("owner", sa.String(24), server_default="", nullable=False))
        batch_op.add_column(sa.Column("mode", sa.String(4), server_default="", nullable=False))
    with op.batch_alter_table("deployments") as batch_op:
        batch_op.add_column(sa.Column("remedies", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("deployments") as batch_op:
        batch_op.drop_column("remedies")
    with op.batch_alter_table("volumes") as batch_op:
        batch_op.drop_column("mode")
        batch_op.drop_column("owner")
    with op.batch_alter_table("services") as batch_op:
        batch_op.drop_column("masks_secrets")
        batch_op.drop_column("user")
