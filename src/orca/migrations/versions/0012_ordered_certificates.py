"""Certificates that Orca orders by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ordered_certificates",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("hostname", sa.String(253), nullable=False),
        sa.Column("directory_url", sa.String(500), nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ordered_certificates"),
        sa.UniqueConstraint("hostname", name="uq_ordered_certificates_hostname"),
    )


def downgrade() -> None:
    op.drop_table("ordered_certificates")
