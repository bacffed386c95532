"""How often the removal of a DNS record was tried."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dns_records", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("dns_records", "tries")
