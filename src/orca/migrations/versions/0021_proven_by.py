"""Which team proved the name of an ordered certificate: the team of its key, else that of the name's routes."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ordered_certificates", sa.Column("team_id", sa.String(36), server_default="", nullable=False))
    op.execute(
        "UPDATE ordered_certificates SET team_id = coalesce("
        "(SELECT min(team_id) FROM secrets WHERE owner_type = 'ordered_certificate' AND owner_id = ordered_certificates.id),"
        " (SELECT min(team_id) FROM routes WHERE routes.hostname = ordered_certificates.hostname), '')"
    )
    op.execute(  # what a team was shown of another's certificate
        "UPDATE routes SET certificate_until = NULL WHERE EXISTS (SELECT 1 FROM ordered_certificates AS held"
        " WHERE held.hostname = routes.hostname AND held.team_id <> routes.team_id)"
    )


def downgrade() -> None:
    op.drop_column("ordered_certificates", "team_id")
