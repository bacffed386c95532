"""What ended deployments say about former owners is what they still owe: those before paid at once, or never."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE deployments SET former_owners = '{}' WHERE state NOT IN ('queued', 'running')")


def downgrade() -> None:
    """What was paid is not owed again."""
