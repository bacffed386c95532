"""The machines that Orca manages, and on which of them each service, volume, target, build and cache record is."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_PLACED = ("services", "volumes", "targets", "builds", "cached_records")
_INDEXED = ("services", "volumes")


def upgrade() -> None:
    families = ("connector", "engine", "proxy")
    table = op.create_table(
        "systems",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        *(
            column
            for family in families
            for column in (
                sa.Column(family, sa.String(64), server_default="", nullable=False),
                sa.Column(f"{family}_config", sa.JSON(), server_default="{}", nullable=False),
            )
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_systems")),
        sa.UniqueConstraint("name", name=op.f("uq_systems_name")),
    )
    op.bulk_insert(table, [{"id": "local", "name": "local", "created_at": datetime.now(UTC)}])
    for name in _PLACED:  # written out: Alembic would copy the whole table on SQLite to add the reference
        op.execute(
            f"ALTER TABLE {name} ADD COLUMN system_id VARCHAR(36) DEFAULT 'local' NOT NULL"
            f" CONSTRAINT fk_{name}_system_id_systems REFERENCES systems (id)"
        )
    for name in _INDEXED:
        op.create_index(op.f(f"ix_{name}_system_id"), name, ["system_id"])


def downgrade() -> None:
    for name in _INDEXED:
        op.drop_index(op.f(f"ix_{name}_system_id"), name)
    for name in _PLACED:
        with op.batch_alter_table(name) as batch:
            batch.drop_column("system_id")
    op.drop_table("systems")
