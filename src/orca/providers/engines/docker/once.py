"""Containers that run once, to their end: release commands and the like."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

from orca.errors import DeadlineExceeded
from orca.kit.cancellation import shield_until_done
from orca.providers.engines.docker.connection import DockerConnection
from orca.providers.engines.docker.containers import Containers
from orca.providers.engines.docker.logs import read_logs
from orca.providers.engines.docker.observe import read_instant
from orca.sdk.containers import ContainerSpec
from orca.sdk.workloads import Progress


class OneOff:
    """Runs containers once. The state is in the container itself, so that it survives a caller that dies."""

    def __init__(self, connection: DockerConnection, containers: Containers) -> None:
        self._connection = connection
        self._containers = containers

    async def run(self, spec: ContainerSpec, deadline: float, progress: Progress) -> int:
        """Return the exit code. A second call with the same name resumes, and sends all lines again from the first."""
        timer = asyncio.timeout(deadline)
        try:
            async with timer:
                container_id = await shield_until_done(self._begin(spec))
                async with aclosing(read_logs(self._connection, container_id, tail=None, follow=True)) as lines:
                    async for line in lines:
                        await progress(line.text)
                return await self._containers.wait(container_id)
        except TimeoutError:
            if not timer.expired():
                raise
            await shield_until_done(self._containers.kill(spec.name))
            raise DeadlineExceeded(
                f"{spec.name} did not end within {deadline:g} seconds and was killed.",
                hint="Look at its output for what it was waiting for, or give it more time.",
            ) from None
        except asyncio.CancelledError:
            await shield_until_done(self._containers.kill(spec.name))
            raise

    async def _begin(self, spec: ContainerSpec) -> str:
        """Create and start the container, unless an earlier call did. One that ever ran is not started again."""
        container_id = await self._containers.create(replace(spec, restart="no"))
        facts = await self._containers.find_ours(container_id)
        if facts and read_instant(facts["State"]["StartedAt"]) is None:
            await self._containers.start(spec.name)
        return container_id
