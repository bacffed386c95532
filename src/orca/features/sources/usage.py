"""Who fetches with a credential and who needs an upload. Features above this one know, and register their readers."""

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


UploadReader = Callable[[AsyncSession, str], Awaitable[set[str]]]
_upload_readers: list[UploadReader] = []


def upload_reader(reader: UploadReader) -> UploadReader:
    """Register the one function that knows of deployments."""
    _upload_readers[:] = [reader]
    return reader


async def list_needed_uploads(session: AsyncSession, service_id: str) -> set[str]:
    """Ids of the uploads of a service that unfinished work or its settings name."""
    return await _upload_readers[0](session, service_id) if _upload_readers else set()
