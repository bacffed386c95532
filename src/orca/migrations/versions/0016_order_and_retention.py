"""Rows are numbered in the order in which they are written; deployments say when their log was removed."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

NUMBERED = ("tasks", "builds", "deployments", "pushes")


def upgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for table in NUMBERED:
        op.add_column(table, sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False))
        op.execute(
            f"UPDATE {table} SET seq = counted.number FROM"  # noqa: S608 - names of our own
            f" (SELECT id, row_number() OVER (ORDER BY {_order(table)}) AS number FROM {_rows(table)}) AS counted"
            f" WHERE counted.id = {table}.id"
        )
        op.create_index(op.f(f"ix_{table}_seq"), table, ["seq"])
        if is_postgres:
            op.execute(sa.schema.CreateSequence(sa.Sequence(f"{table}_seq_seq")))
            op.execute(f"SELECT setval('{table}_seq_seq', (SELECT coalesce(max(seq), 0) + 1 FROM {table}), false)")  # noqa: S608
            op.alter_column(table, "seq", server_default=sa.text(f"nextval('{table}_seq_seq')"))
    op.add_column("routes", sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
    op.add_column("variables", sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
    op.add_column("deployments", sa.Column("secret_revisions", sa.JSON(), server_default="{}", nullable=False))
    op.add_column("deployments", sa.Column("log_removed_at", sa.DateTime(timezone=True), nullable=True))


def _order(table: str) -> str:
    """Ids say when rows were made."""
    return "reached, number, id" if table == "deployments" else "id"


def _rows(table: str) -> str:
    """Deployments of one service have numbers: none is taken for older than one before it, wherever clocks were set."""
    if table != "deployments":
        return table
    latest = "max(created_at) OVER (PARTITION BY service_id ORDER BY number)"
    return f"(SELECT id, number, {latest} AS reached FROM deployments) AS dated"  # noqa: S608 - no word of others


def downgrade() -> None:
    for table, column in (
        ("deployments", "log_removed_at"), ("deployments", "secret_revisions"), ("variables", "revision"),
        ("routes", "revision"),
    ):  # fmt: skip
        op.drop_column(table, column)
    for table in NUMBERED:
        op.drop_index(op.f(f"ix_{table}_seq"), table)
        op.drop_column(table, "seq")
        if op.get_bind().dialect.name == "postgresql":
            op.execute(sa.schema.DropSequence(sa.Sequence(f"{table}_seq_seq")))
