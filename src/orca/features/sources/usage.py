"""The users of uploads, read by functions of the features above this one."""

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from orca.features import find_reader
from orca.features.manifest import ReaderKey

UploadReader = Callable[[AsyncSession, str], Awaitable[set[str]]]
NEEDED_UPLOADS: Final = ReaderKey[UploadReader]("uploads that are still needed")


async def list_needed_uploads(session: AsyncSession, service_id: str) -> set[str]:
    """Return the ids of a service's uploads that deployments or the service's settings still need."""
    read = find_reader(NEEDED_UPLOADS)
    return await read(session, service_id) if read else set()
