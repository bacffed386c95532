"""Builds keep what their source said, releases when they went live, broken routes when they were refused."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("builds") as batch_op:
        batch_op.add_column(sa.Column("orca_file", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("port", sa.Integer(), nullable=True))
    with op.batch_alter_table("releases") as batch_op:
        batch_op.add_column(sa.Column("went_live_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE releases SET went_live_at = (SELECT min(finished_at) FROM deployments"
        " WHERE deployments.release_id = releases.id AND state = 'succeeded' AND kind <> 'build')"
    )
    with op.batch_alter_table("routes") as batch_op:
        batch_op.add_column(sa.Column("refusals", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("routes") as batch_op:
        batch_op.drop_column("refused_at")
        batch_op.drop_column("refusals")
    with op.batch_alter_table("releases") as batch_op:
        batch_op.drop_column("went_live_at")
    with op.batch_alter_table("builds") as batch_op:
        batch_op.drop_column("port")
        batch_op.drop_column("orca_file")
