"""Deployments and push hooks keep on whose behalf they act; names below the base domain keep their project."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("deployments") as batch_op:
        batch_op.add_column(sa.Column("via", sa.String(16), server_default="system", nullable=False))
        batch_op.add_column(sa.Column("permissions", sa.JSON(none_as_null=True), nullable=True))
    with op.batch_alter_table("hooks") as batch_op:
        batch_op.add_column(sa.Column("user_id", sa.String(36), nullable=True))
        batch_op.add_column(sa.Column("permissions", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "held_names",
        sa.Column("hostname", sa.String(253), nullable=False),
        sa.Column("team_id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("hostname", name="pk_held_names"),
    )
    op.execute(
        "INSERT INTO held_names (hostname, team_id, project_id) "
        "SELECT routes.hostname, min(services.team_id), min(services.project_id) "
        "FROM routes JOIN services ON services.id = routes.service_id GROUP BY routes.hostname"
    )


def downgrade() -> None:
    op.drop_table("held_names")
    with op.batch_alter_table("hooks") as batch_op:
        batch_op.drop_column("permissions")
        batch_op.drop_column("user_id")
    with op.batch_alter_table("deployments") as batch_op:
        batch_op.drop_column("permissions")
        batch_op.drop_column("via")
