"""The Git repository of a service, read by a function of the services feature, which is above this one."""

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features import find_reader
from orca.features.manifest import ReaderKey
from orca.features.sources.schemas import GitSource

OriginReader = Callable[[AsyncSession, str], Awaitable[GitSource | None]]
GIT_SOURCE: Final = ReaderKey[OriginReader]("Git source of a service")


async def find_git_source(session: AsyncSession, service_id: str) -> GitSource | None:
    """Return the Git source of a service; None for another kind of source, or an unknown service."""
    read = find_reader(GIT_SOURCE)
    return await read(session, service_id) if read else None


async def find_repository(session: AsyncSession, service_id: str) -> str | None:
    """Return the repository address of a service; None for another kind of source, or an unknown service."""
    source = await find_git_source(session, service_id)
    return None if source is None else source.repository


async def comes_from_git(session: AsyncSession, service_id: str) -> bool:
    """Whether the service has a Git source; False for an unknown service."""
    return await find_repository(session, service_id) is not None
