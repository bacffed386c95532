"""Removes replicas, once what they wrote last was read by the feature that keeps it."""

from collections.abc import Awaitable, Callable
from typing import Final

from orca.features import find_reader
from orca.features.manifest import ReaderKey
from orca.resources import Resources
from orca.sdk.workloads import Replica

LastWordsReader = Callable[[Resources, str, Replica], Awaitable[None]]
LAST_WORDS: Final = ReaderKey[LastWordsReader]("last words of a replica")


async def remove_replica(resources: Resources, system_id: str, replica: Replica) -> None:
    """Remove a replica of a system for good, as `Engine.remove` does."""
    if keep := find_reader(LAST_WORDS):
        await keep(resources, system_id, replica)
    await (await resources.systems.engine(system_id)).remove(replica)
