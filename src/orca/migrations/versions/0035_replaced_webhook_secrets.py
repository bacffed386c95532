"""The secret of a webhook that was replaced signs messages for a while, too."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("replaced_sealed", sa.LargeBinary()))
    op.add_column("webhooks", sa.Column("replaced_until", sa.DateTime(timezone=True)))


def downgrade() -> None:
    with op.batch_alter_table("webhooks") as batch:
        batch.drop_column("replaced_until")
        batch.drop_column("replaced_sealed")
