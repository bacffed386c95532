"""Whether a service comes from Git. Services are told of by a feature above this one, which registers its reader."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

OriginReader = Callable[[AsyncSession, str], Awaitable[bool]]
_readers: list[OriginReader] = []


def origin_reader(reader: OriginReader) -> OriginReader:
    """Register the one function that knows of services."""
    _readers[:] = [reader]
    return reader


async def comes_from_git(session: AsyncSession, service_id: str) -> bool:
    """Whether a push has something to fetch for this service; no for one that is not there."""
    return await _readers[0](session, service_id)
