"""Which records of the engine's build cache are of Orca's own builds."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "cached_records",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(36), nullable=False),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_cached_records_service_id_services"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cached_records")),
    )
    op.create_index(op.f("ix_cached_records_service_id"), "cached_records", ["service_id"])


def downgrade() -> None:
    op.drop_table("cached_records")
