"""A volume belongs to an environment, and several services may mount it: mounts are rows of their own."""

from collections import defaultdict
from itertools import count

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("volumes") as batch:
        batch.add_column(sa.Column("environment_id", sa.String(36), nullable=True))
        batch.add_column(sa.Column("last_name", sa.String(63), server_default="", nullable=False))
    op.execute("UPDATE volumes SET last_name = name")
    _place()
    _name()
    op.create_table(
        "service_mounts",
        sa.Column("service_id", sa.String(36), nullable=False),
        sa.Column("volume_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("path", sa.String(255), nullable=False),
        sa.Column("read_only", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("team_id", sa.String(36), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_mounts")),
        sa.UniqueConstraint("service_id", "path", name=op.f("uq_service_mounts_service_id")),
        sa.UniqueConstraint("service_id", "name", name="uq_service_mounts_name"),
        sa.UniqueConstraint("service_id", "volume_id", name="uq_service_mounts_volume"),
    )
    op.execute(  # each volume had one mount at most, so its id will do for that
        "INSERT INTO service_mounts (id, team_id, created_at, service_id, volume_id, name, path)"
        " SELECT id, team_id, created_at, service_id, id, last_name, path FROM volumes WHERE service_id IS NOT NULL"
    )
    op.drop_index(op.f("ix_volumes_service_id"), table_name="volumes")
    with op.batch_alter_table("volumes") as batch:
        batch.drop_constraint(op.f("fk_volumes_service_id_services"), type_="foreignkey")
        batch.drop_constraint(op.f("uq_volumes_service_id"), type_="unique")
        batch.drop_column("service_id")
        batch.alter_column("path", new_column_name="last_path")
        batch.alter_column("environment_id", nullable=False)
        batch.alter_column("last_name", server_default=None)
        batch.create_foreign_key(
            op.f("fk_volumes_environment_id_environments"), "environments", ["environment_id"], ["id"]
        )
        batch.create_unique_constraint(op.f("uq_volumes_environment_id"), ["environment_id", "name"])
    with op.batch_alter_table("service_mounts") as batch:
        batch.create_foreign_key(op.f("fk_service_mounts_service_id_services"), "services", ["service_id"], ["id"])
        batch.create_foreign_key(op.f("fk_service_mounts_volume_id_volumes"), "volumes", ["volume_id"], ["id"])
        batch.create_index(op.f("ix_service_mounts_team_id"), ["team_id"])
        batch.create_index(op.f("ix_service_mounts_volume_id"), ["volume_id"])


def _place() -> None:
    """The environment of a volume is that of its service; a detached one goes to the first of its project."""
    op.execute(
        "UPDATE volumes SET environment_id ="
        " (SELECT environment_id FROM services WHERE services.id = volumes.service_id)"
    )
    op.execute(
        "UPDATE volumes SET environment_id ="
        " (SELECT min(id) FROM environments WHERE environments.project_id = volumes.project_id)"
        " WHERE environment_id IS NULL"
    )


def _name() -> None:
    """Of several volumes with one name in an environment, the oldest keeps it: `data`, `web-data`, `web-data-2`."""
    connection = op.get_bind()
    rows = connection.execute(sa.text(
        "SELECT volumes.id, volumes.environment_id, volumes.name, coalesce(services.slug, 'detached')"
        " FROM volumes LEFT JOIN services ON services.id = volumes.service_id"
        " ORDER BY CASE WHEN volumes.service_id IS NULL THEN 1 ELSE 0 END, volumes.id"
    )).all()  # fmt: skip
    taken: dict[str, set[str]] = defaultdict(set)
    for _, environment_id, name, _ in rows:
        taken[environment_id].add(name)
    kept: set[tuple[str, str]] = set()
    for volume_id, environment_id, name, slug in rows:
        if (environment_id, name) not in kept:
            kept.add((environment_id, name))
            continue
        endings = (f"-{number}" if number > 1 else "" for number in count(1))
        names = (f"{slug}-{name}"[: 63 - len(ending)] + ending for ending in endings)
        chosen = next(candidate for candidate in names if candidate not in taken[environment_id])
        taken[environment_id].add(chosen)
        connection.execute(sa.text("UPDATE volumes SET name = :name WHERE id = :id"), {"name": chosen, "id": volume_id})


def downgrade() -> None:
    """A volume that several services mount stays with the first of them."""
    with op.batch_alter_table("volumes") as batch:
        batch.drop_constraint(op.f("uq_volumes_environment_id"), type_="unique")
        batch.drop_constraint(op.f("fk_volumes_environment_id_environments"), type_="foreignkey")
        batch.alter_column("last_path", new_column_name="path")
        batch.drop_column("environment_id")
        batch.add_column(sa.Column("service_id", sa.String(36), nullable=True))
    op.execute("UPDATE volumes SET name = last_name")
    op.execute(
        "UPDATE volumes SET (service_id, name, path) = (SELECT service_id, name, path FROM service_mounts"
        " WHERE service_mounts.id = (SELECT min(id) FROM service_mounts WHERE volume_id = volumes.id))"
        " WHERE id IN (SELECT volume_id FROM service_mounts)"
    )
    op.drop_table("service_mounts")
    with op.batch_alter_table("volumes") as batch:
        batch.drop_column("last_name")
        batch.create_foreign_key(op.f("fk_volumes_service_id_services"), "services", ["service_id"], ["id"])
        batch.create_unique_constraint(op.f("uq_volumes_service_id"), ["service_id", "path"])
        batch.create_index(op.f("ix_volumes_service_id"), ["service_id"])
