"""Access to DNS providers, and the records that prove names."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dns_credentials",
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("zones", sa.JSON(), nullable=False),
        sa.Column("team_id", sa.String(36), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dns_credentials")),
    )
    op.create_index(op.f("ix_dns_credentials_team_id"), "dns_credentials", ["team_id"])
    op.create_table(
        "dns_records",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("credential_id", sa.String(36), nullable=False),
        sa.Column("zone", sa.String(253), nullable=False),
        sa.Column("name", sa.String(253), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"], ["dns_credentials.id"], name=op.f("fk_dns_records_credential_id_dns_credentials"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dns_records")),
    )  # fmt: skip
    op.create_index(op.f("ix_dns_records_credential_id"), "dns_records", ["credential_id"])


def downgrade() -> None:
    op.drop_table("dns_records")
    op.drop_table("dns_credentials")
