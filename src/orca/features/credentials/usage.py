"""The users of credentials, read by functions of the features above this one."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features import find_reader
from orca.features.manifest import ReaderKey
from orca.web.guard import Scope


@dataclass(frozen=True, slots=True)
class CredentialUser:
    """A service that uses a credential, and the address of its page."""

    name: str
    href: str


Usage = Mapping[str, list[CredentialUser]]
"""Id of a credential -> the services that use it, by name; unused credentials are left out."""
UsageReader = Callable[[AsyncSession, Scope, Collection[str]], Awaitable[Usage]]
CREDENTIAL_USAGE: Final = ReaderKey[UsageReader]("services that use credentials")


async def read_usage(session: AsyncSession, scope: Scope, credential_ids: Collection[str]) -> Usage:
    """Return the services that use these credentials of the team, with one query."""
    read = find_reader(CREDENTIAL_USAGE)
    return await read(session, scope, credential_ids) if read and credential_ids else {}
