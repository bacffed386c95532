"""Measures how much CPU and memory a container uses."""

import asyncio
from datetime import datetime, timedelta

from orca.errors import RequestRefused
from orca.providers.engines.docker.connection import DockerConnection
from orca.providers.engines.docker.observe import read_usage

_SHORTEST = timedelta(milliseconds=200)
_LONGEST = timedelta(minutes=1)
_REMEMBERED = 1024
_NANOSECONDS = 1_000_000_000


class Meter:
    """Measures by one-shot samples; CPU usage is the average since the previous sample."""

    def __init__(self, connection: DockerConnection) -> None:
        self._connection = connection
        self._last: dict[str, tuple[int, datetime]] = {}

    async def measure(self, container_id: str) -> tuple[float, int]:
        """Return CPU (1.0 is a whole core) and bytes of memory. The first call takes two samples, a moment apart."""
        used, at, memory = await self._sample(container_id)
        before = self._last.get(container_id)
        if before is None or not _SHORTEST <= at - before[1] <= _LONGEST:
            before = used, at
            await asyncio.sleep(_SHORTEST.total_seconds())
            used, at, memory = await self._sample(container_id)
        self._remember(container_id, used, at)
        elapsed = (at - before[1]).total_seconds() * _NANOSECONDS
        return max(0.0, (used - before[0]) / elapsed), memory

    async def _sample(self, container_id: str) -> tuple[int, datetime, int]:
        sample = await self._connection.get(
            "measure a container",
            f"containers/{container_id}/stats",
            params={"stream": "false", "one-shot": "true"},
        )
        usage = read_usage(sample)
        if usage is None:
            raise RequestRefused("The container does not run, so there is nothing to measure.")
        return usage

    def _remember(self, container_id: str, used: int, at: datetime) -> None:
        self._last.pop(container_id, None)
        self._last[container_id] = used, at
        while len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]
