"""Uploads are counted per service, so that the order of clocks does not matter."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("uploads") as batch_op:
        batch_op.add_column(sa.Column("number", sa.Integer(), server_default="0", nullable=False))
    op.execute(
        "UPDATE uploads SET number = (SELECT count(*) FROM uploads other"
        " WHERE other.service_id = uploads.service_id AND other.id <= uploads.id)"
    )


def downgrade() -> None:
    with op.batch_alter_table("uploads") as batch_op:
        batch_op.drop_column("number")
