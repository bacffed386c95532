"""Tasks on Orca's own tables: payload, worker and finished steps; the tables of the engine before it go."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

EARLIER_ENGINE = (
    "application_versions", "dbos_migrations", "event_dispatch_kv", "notifications", "operation_outputs", "queues",
    "streams", "workflow_events", "workflow_events_history", "workflow_input", "workflow_output", "workflow_schedules",
    "workflow_status",
)  # fmt: skip


def upgrade() -> None:
    with op.batch_alter_table("tasks") as batch_op:
        batch_op.add_column(sa.Column("payload", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("worker", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("recoveries", sa.Integer(), nullable=False, server_default="0"))
    op.execute("CREATE UNIQUE INDEX uq_tasks_running_target ON tasks (target) WHERE state = 'running'")
    op.create_table(
        "task_steps",
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["task_id"], ["tasks.id"], name=op.f("fk_task_steps_task_id_tasks"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("task_id", "name", name=op.f("pk_task_steps")),
    )
    _carry_over()
    _drop_earlier_engine()


def _carry_over() -> None:
    """Unfinished tasks go on: what they work on is known from the rows that wait for them."""
    tasks = sa.table("tasks", sa.column("id"), sa.column("name"), sa.column("target"), sa.column("state"),
                     sa.column("payload", sa.JSON()))  # fmt: skip
    deployments = sa.table("deployments", sa.column("id"), sa.column("task_id"))
    connection = op.get_bind()
    connection.execute(sa.text("DELETE FROM workers"))
    found = sa.select(tasks.c.id, tasks.c.target, deployments.c.id.label("deployment")).select_from(
        tasks.outerjoin(deployments, deployments.c.task_id == tasks.c.id)
    )
    for row in connection.execute(found.where(tasks.c.state.in_(("queued", "running")))).all():
        payload = {"deployment_id": row.deployment} if row.deployment else {"volume_id": row.target}
        connection.execute(tasks.update().where(tasks.c.id == row.id).values(payload=payload))


def _drop_earlier_engine() -> None:
    connection = op.get_bind()
    schema = "dbos" if connection.dialect.name == "postgresql" else None
    if schema:
        op.execute("DROP SCHEMA IF EXISTS dbos CASCADE")
        return
    present = set(sa.inspect(connection).get_table_names())
    if "dbos_migrations" in present:
        for name in present & set(EARLIER_ENGINE):
            op.drop_table(name)


def downgrade() -> None:
    op.drop_table("task_steps")
    op.drop_index("uq_tasks_running_target", table_name="tasks")
    with op.batch_alter_table("tasks") as batch_op:
        for name in ("recoveries", "worker", "payload"):
            batch_op.drop_column(name)
