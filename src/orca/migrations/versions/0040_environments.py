"""Environments can be deleted, and slugs of services are unique in their project: hostnames and commands name them by it.

Until now all services were in `production`, so that they are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

_LIVING = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    with op.batch_alter_table("environments") as batch:
        batch.add_column(sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
        batch.drop_constraint(op.f("uq_environments_project_id"), type_="unique")
    _unique("uq_environments_living_slug", "environments", ["project_id", "slug"])
    op.drop_index("uq_services_living_slug", table_name="services")
    _unique("uq_services_living_slug", "services", ["project_id", "slug"])


def _unique(name: str, table: str, columns: list[str]) -> None:
    op.create_index(name, table, columns, unique=True, sqlite_where=_LIVING, postgresql_where=_LIVING)


def downgrade() -> None:
    """Deleted environments, whose slugs may be in use again, get slugs of their own."""
    op.drop_index("uq_services_living_slug", table_name="services")
    _unique("uq_services_living_slug", "services", ["environment_id", "slug"])
    op.drop_index("uq_environments_living_slug", table_name="environments")
    op.execute("UPDATE environments SET slug = id WHERE deleted_at IS NOT NULL")
    with op.batch_alter_table("environments") as batch:
        batch.create_unique_constraint(op.f("uq_environments_project_id"), ["project_id", "slug"])
        batch.drop_column("deleted_at")
