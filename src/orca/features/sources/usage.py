"""Who fetches with a credential. Services are told of by a feature above this one, which registers its reader."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from orca.web.guard import Scope


@dataclass(frozen=True, slots=True)
class CredentialUser:
    """A service, and where its page is."""

    name: str
    href: str


Usage = Mapping[str, list[CredentialUser]]
"""Id of a credential -> who uses it, by name; nothing for those that nobody uses."""
UsageReader = Callable[[AsyncSession, Scope, Collection[str]], Awaitable[Usage]]
_readers: list[UsageReader] = []


def usage_reader(reader: UsageReader) -> UsageReader:
    """Register the one function that knows of services."""
    _readers[:] = [reader]
    return reader


async def read_usage(session: AsyncSession, scope: Scope, credential_ids: Collection[str]) -> Usage:
    """Who uses these credentials of the team, in one query."""
    return await _readers[0](session, scope, credential_ids) if _readers and credential_ids else {}
