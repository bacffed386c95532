"""Certificate orders remember how often they failed, and when the certificate that came ends."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("routes") as batch_op:
        batch_op.add_column(sa.Column("order_failures", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("certificate_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("routes") as batch_op:
        batch_op.drop_column("certificate_until")
        batch_op.drop_column("order_failures")
