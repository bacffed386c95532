"""Which Git repository a service comes from. A feature above this one knows services, and registers its reader."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

OriginReader = Callable[[AsyncSession, str], Awaitable[str | None]]
_readers: list[OriginReader] = []


def origin_reader(reader: OriginReader) -> OriginReader:
    """Register the one function that knows of services."""
    _readers[:] = [reader]
    return reader


async def find_repository(session: AsyncSession, service_id: str) -> str | None:
    """The address of the repository that a push has to fetch from; None for services of another source, or unknown."""
    return await _readers[0](session, service_id)


async def comes_from_git(session: AsyncSession, service_id: str) -> bool:
    """Whether a push has something to fetch for this service; no for one that is not there."""
    return await find_repository(session, service_id) is not None
