"""Open terminals, so that those of a process that died are ended."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "terminals",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("team_id", sa.String(36), nullable=False),
        sa.Column("service_id", sa.String(36), nullable=False),
        sa.Column("system_id", sa.String(36), nullable=False),
        sa.Column("replica", sa.String(255), nullable=False),
        sa.Column("replica_id", sa.String(128), nullable=False),
        sa.Column("engine_id", sa.String(128), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_terminals_service_id_services"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terminals")),
    )
    for column in ("team_id", "service_id", "seen_at"):
        op.create_index(op.f(f"ix_terminals_{column}"), "terminals", [column])


def downgrade() -> None:
    op.drop_table("terminals")
