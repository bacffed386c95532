"""Grants on parts of a team: a role within one project, environment or system.

What until now came with a permission for one object is a permission in the whole team: who has the former, by a token or
for a push, keeps the latter.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("team_id", sa.String(36), nullable=False),
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("project_id", sa.String(36), nullable=True),
        sa.Column("environment_id", sa.String(36), nullable=True),
        sa.Column("system_id", sa.String(36), nullable=True),
        sa.CheckConstraint(
            "(CASE WHEN project_id IS NULL THEN 0 ELSE 1 END) + (CASE WHEN environment_id IS NULL THEN 0 ELSE 1 END)"
            " + (CASE WHEN system_id IS NULL THEN 0 ELSE 1 END) = 1",
            name=op.f("ck_grants_one_scope"),
        ),
        sa.ForeignKeyConstraint(
            ["team_id", "user_id"],
            ["memberships.team_id", "memberships.user_id"],
            name=op.f("fk_grants_member"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_grants_project_id_projects"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["environment_id"],
            ["environments.id"],
            name=op.f("fk_grants_environment_id_environments"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["system_id"], ["systems.id"], name=op.f("fk_grants_system_id_systems"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grants")),
        sa.UniqueConstraint("user_id", "project_id", name=op.f("uq_grants_project")),
        sa.UniqueConstraint("user_id", "environment_id", name=op.f("uq_grants_environment")),
        sa.UniqueConstraint("team_id", "user_id", "system_id", name=op.f("uq_grants_system")),
    )
    for column in ("team_id", "project_id", "environment_id", "system_id"):
        op.create_index(op.f(f"ix_grants_{column}"), "grants", [column])
    for table, names, condition in _LISTS:
        _keep(table, names, condition)


_LISTS = (
    ("api_tokens", "scopes", "1 = 1"),
    ("hooks", "permissions", "permissions IS NOT NULL"),
    ("deployments", "permissions", "permissions IS NOT NULL AND state IN ('queued', 'running')"),
)
_COMES_WITH = {
    "route.create": "route.share",
    "route.update": "route.share",
    "service.create": "credential.use",
    "service.update": "credential.use",
}


def _keep(table: str, names: str, condition: str) -> None:
    connection = op.get_bind()
    rows = connection.execute(sa.text(f"SELECT id, CAST({names} AS TEXT) FROM {table} WHERE {condition}")).all()  # noqa: S608 - no input
    for identifier, text in rows:
        held = set(json.loads(text) or ())
        added = {_COMES_WITH[name] for name in held & _COMES_WITH.keys()} - held
        if added:
            update = sa.text(f"UPDATE {table} SET {names} = :names WHERE id = :id")  # noqa: S608 - no input
            names_now = sa.bindparam("names", sorted(held | added), sa.JSON())
            connection.execute(update.bindparams(names_now, id=identifier))


def downgrade() -> None:
    op.drop_table("grants")
    op.execute("DELETE FROM memberships WHERE role = 'guest'")
