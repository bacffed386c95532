"""Containers that run once, to their end: release commands and the like."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

from orca.errors import DeadlineExceeded
from orca.kit.cancellation import see_through
from orca.providers.engines.docker.connection import DockerConnection
from orca.providers.engines.docker.containers import Containers
from orca.providers.engines.docker.logs import read_logs
from orca.providers.engines.docker.observe import read_instant
from orca.sdk.engines import ContainerSpec, Progress


class OneOff:
    """Runs containers once. The container itself is the memory: what it knows survives a caller that dies."""

    def __init__(self, connection: DockerConnection, containers: Containers) -> None:
        self._connection = connection
        self._containers = containers

    async def run(self, spec: ContainerSpec, deadline: float, progress: Progress) -> int:
        """The exit code. Started again with the same name, all its lines come again from the first."""
        timer = asyncio.timeout(deadline)
        try:
            async with timer:
                container_id = await see_through(self._begin(spec))
                async with aclosing(read_logs(self._connection, container_id, tail=None, follow=True)) as lines:
                    async for line in lines:
                        await progress(line.text)
                return await self._containers.wait(container_id)
        except TimeoutError:
            if not timer.expired():
                raise
            await see_through(self._containers.kill(spec.name))
            raise DeadlineExceeded(
                f"{spec.name} did not end within {deadline:g} seconds and was killed.",
                hint="Look at its output for what it was waiting for, or give it more time.",
            ) from None
        except asyncio.CancelledError:
            await see_through(self._containers.kill(spec.name))
            raise

    async def _begin(self, spec: ContainerSpec) -> str:
        """Create and start, unless a former caller did. One that ever ran is never started again."""
        container_id = await self._containers.create(replace(spec, restart="no"))
        facts = await self._containers.find_ours(container_id)
        if facts and read_instant(facts["State"]["StartedAt"]) is None:
            await self._containers.start(spec.name)
        return container_id
