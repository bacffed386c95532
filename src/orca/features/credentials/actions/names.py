"""Names of credentials: unique per kind and team, because equal ones could not be distinguished."""

from sqlalchemy import ColumnElement, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import Conflict
from orca.features.credentials.models import GitCredential, RegistryCredential

_LOCK = 0x0ACE
_KINDS = {"ssh": "deploy key", "token": "token"}


async def check_git_name(session: AsyncSession, row: GitCredential, name: str) -> None:
    """Raise Conflict if another credential of the team and of this kind has the name. Locks until the commit."""
    await _check(session, row, name, _KINDS[row.kind], GitCredential.kind == row.kind)


async def check_registry_name(session: AsyncSession, row: RegistryCredential, name: str) -> None:
    """Raise Conflict if another registry login of the team has the name. Locks until the commit."""
    await _check(session, row, name, "registry login")


async def _check(
    session: AsyncSession,
    row: GitCredential | RegistryCredential,
    name: str,
    kind: str,
    *conditions: ColumnElement[bool],
) -> None:
    if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway
        await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    table = type(row)
    taken = select(table.id).where(table.team_id == row.team_id, table.name == name, *conditions)
    if await session.scalar(taken.where(table.id != (row.id or "")).limit(1)):
        raise Conflict(
            f"there is a {kind} “{name}” already",
            hint="Choose another name, or delete the one that has it: `orc credentials` lists them.",
            fields={"name": f"a {kind} named {name} exists; give this one another name"},
        )
