"""Git credentials are made for one host: the one at which all services use them, else none until a user sets it."""

import ipaddress
import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_PLACE = r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)"
_TOKEN_URL = re.compile(rf"(?P<scheme>https)://{_PLACE}(?::(?P<port>[0-9]{{1,5}}))?/.*")
_SSH_URL = re.compile(rf"(?P<scheme>ssh)://(?:[^@/]*@)?{_PLACE}(?::(?P<port>[0-9]{{1,5}}))?/.*")
_SCP_URL = re.compile(rf"[^@/:]+@{_PLACE}:.*(?P<port>)")
_DEFAULT_PORTS = {"token": 443, "ssh": 22}


def upgrade() -> None:
    with op.batch_alter_table("git_credentials") as batch_op:
        batch_op.add_column(sa.Column("host", sa.String(length=260), server_default="", nullable=False))
    _derive_hosts()


def downgrade() -> None:
    with op.batch_alter_table("git_credentials") as batch_op:
        batch_op.drop_column("host")


def _derive_hosts() -> None:
    services = sa.table("services", sa.column("team_id"), sa.column("source", sa.JSON()), sa.column("deleted_at"))
    credentials = sa.table(
        "git_credentials", sa.column("id"), sa.column("team_id"), sa.column("kind"), sa.column("host")
    )
    connection = op.get_bind()
    living = sa.select(services.c.team_id, services.c.source).where(services.c.deleted_at.is_(None))
    uses = connection.execute(living).all()
    for row in connection.execute(sa.select(credentials)).all():
        sources = [use.source for use in uses if use.team_id == row.team_id]
        hosts = {_host(source, row.kind) for source in sources if source.get("credential_id") == row.id}
        if len(hosts) == 1:
            connection.execute(credentials.update().where(credentials.c.id == row.id).values(host=hosts.pop()))


def _host(source: dict[str, Any], kind: str) -> str:
    """`host`, or `host:port` for another port than the usual one; empty where the credential is of no use."""
    address = str(source.get("repository", "")).lower()
    patterns = (_TOKEN_URL,) if kind == "token" else (_SSH_URL, _SCP_URL)
    match = next(filter(None, (pattern.fullmatch(address) for pattern in patterns)), None)
    if match is None:
        return ""
    try:
        address = str(ipaddress.ip_address(match["host"].strip("[]")))
        host = f"[{address}]" if ":" in address else address
    except ValueError:
        host = match["host"]
    port = int(match["port"] or _DEFAULT_PORTS[kind])
    return host if port == _DEFAULT_PORTS[kind] else f"{host}:{port}"
