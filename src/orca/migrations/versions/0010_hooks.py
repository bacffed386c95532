"""Hooks say whether any repository counts, and take longer names of branches; pushes know the digest of their body."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("hooks") as batch_op:
        batch_op.add_column(sa.Column("any_repository", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch_op.alter_column("branch", type_=sa.String(1000), existing_type=sa.String(255), existing_nullable=False)
    with op.batch_alter_table("pushes") as batch_op:
        batch_op.add_column(sa.Column("digest", sa.String(64), server_default="", nullable=False))
        batch_op.create_index("ix_pushes_hook_id_digest", ["hook_id", "digest"])


def downgrade() -> None:
    with op.batch_alter_table("pushes") as batch_op:
        batch_op.drop_index("ix_pushes_hook_id_digest")
        batch_op.drop_column("digest")
    with op.batch_alter_table("hooks") as batch_op:
        batch_op.alter_column("branch", type_=sa.String(255), existing_type=sa.String(1000), existing_nullable=False)
        batch_op.drop_column("any_repository")
