"""The build cache of the engine's own BuildKit, which all builds on the machine share."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from orca.providers.engines.docker.connection import DockerConnection
from orca.providers.engines.docker.observe import read_instant
from orca.providers.engines.docker.usage import read_usage
from orca.sdk.caches import CacheRecord

_AT_ONCE = 100
"""Ids per call; limited because they are part of its URL."""
_ID = re.compile(r"[a-z0-9]{1,64}")


class BuildCache:
    """Lists the records of the build cache and removes them by id."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection

    async def list(self) -> list[CacheRecord]:
        """Return all records, including those of builds that Orca did not start."""
        answer = await read_usage(self._connection, "look at the build cache", "build-cache")
        return [_read(facts) for facts in answer.get("BuildCache") or ()]

    async def remove(self, ids: Sequence[str]) -> None:
        """Remove records. BuildKit accepts one `id` filter, which is a regular expression when enclosed in slashes."""
        for some in _split([id_ for id_ in ids if _ID.fullmatch(id_)]):
            filters = {"id": {f"/^({'|'.join(some)})$/": True}}
            params = {"filters": json.dumps(filters), "all": "true"}
            await self._connection.post("clean the build cache", "build/prune", params=params)


def _split(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def _read(facts: dict[str, Any]) -> CacheRecord:
    used = read_instant(facts.get("LastUsedAt") or facts.get("CreatedAt") or "")
    parents = facts.get("Parents") or ([facts["Parent"]] if facts.get("Parent") else [])
    return CacheRecord(
        id=facts["ID"], size_bytes=int(facts.get("Size") or 0), kind=facts.get("Type", ""),
        description=facts.get("Description", ""), parents=tuple(parents), in_use=bool(facts.get("InUse")),
        is_shared=bool(facts.get("Shared")), last_used=used.timestamp() if used else 0.0,
        uses=int(facts.get("UsageCount") or 0),
    )  # fmt: skip
