"""Tasks have lanes, priorities and teams, may sleep, and then still hold their target; workers offer labels."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

ADDED = (
    ("lane", sa.String(16), "run"), ("priority", sa.Integer(), "0"), ("team_id", sa.String(36), ""),
    ("needs", sa.String(64), None), ("not_before", sa.DateTime(timezone=True), None), ("because", sa.Text(), None),
)  # fmt: skip
IN_LINE = (
    ("ix_tasks_in_line", "lane, priority, seq"),
    ("ix_tasks_in_line_of_team", "lane, team_id, priority, seq"),
    ("ix_tasks_in_line_of_target", "target, seq"),
)


def upgrade() -> None:
    for name, kind, default in ADDED:
        op.add_column("tasks", sa.Column(name, kind, server_default=default, nullable=default is None))
    op.add_column("workers", sa.Column("offers", sa.JSON(), server_default="[]", nullable=False))
    _place_unfinished()
    op.drop_index("uq_tasks_running_target", table_name="tasks")
    op.execute(
        "CREATE UNIQUE INDEX uq_tasks_held_target ON tasks (target)"
        " WHERE state = 'running' OR (state = 'queued' AND epoch > 0)"
    )
    for name, columns in IN_LINE:
        op.execute(f"CREATE INDEX {name} ON tasks ({columns}) WHERE state = 'queued'")


def _place_unfinished() -> None:
    """A task of an earlier version gets the place in line that the present one would have given it."""
    unfinished = "state IN ('queued', 'running')"
    deployment = "FROM deployments WHERE deployments.task_id = tasks.id"
    op.execute(
        f"UPDATE tasks SET lane = 'deploy', team_id = coalesce((SELECT max(team_id) {deployment}), ''),"  # noqa: S608
        f" priority = coalesce((SELECT max(CASE WHEN \"trigger\" = 'push' THEN 1 ELSE 0 END) {deployment}), 0)"
        f" WHERE {unfinished} AND name = 'RunDeployment'"
    )
    op.execute(f"UPDATE tasks SET lane = 'maintenance' WHERE {unfinished} AND name = 'DestroyVolume'")  # noqa: S608
    op.execute(f"UPDATE tasks SET team_id = target, priority = 1 WHERE {unfinished} AND name = 'LookAtPush'")  # noqa: S608


def downgrade() -> None:
    """Tasks that sleep are queued tasks to the earlier version."""
    for name, _ in IN_LINE:
        op.drop_index(name, table_name="tasks")
    op.drop_index("uq_tasks_held_target", table_name="tasks")
    op.execute("CREATE UNIQUE INDEX uq_tasks_running_target ON tasks (target) WHERE state = 'running'")
    op.drop_column("workers", "offers")
    for name, _, _ in reversed(ADDED):
        op.drop_column("tasks", name)
