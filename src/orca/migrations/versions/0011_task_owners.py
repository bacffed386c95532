"""Tasks count their owners, so that one who lost a task changes nothing; workers say which tasks they know."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("tasks") as batch_op:
        batch_op.add_column(sa.Column("epoch", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("workers") as batch_op:
        batch_op.add_column(sa.Column("version", sa.String(length=32), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("knows", sa.JSON(), nullable=False, server_default="[]"))
    op.execute("UPDATE tasks SET recoveries = 0")  # counted all interruptions until now, not those at one step


def downgrade() -> None:
    with op.batch_alter_table("workers") as batch_op:
        batch_op.drop_column("knows")
        batch_op.drop_column("version")
    with op.batch_alter_table("tasks") as batch_op:
        batch_op.drop_column("epoch")
