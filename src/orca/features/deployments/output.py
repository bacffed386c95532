"""What the replicas of a service write, merged into one stream of bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from orca.errors import OrcaError
from orca.kit.text import clean_output
from orca.sdk.engines import Container, Engine

QUEUE_LINES = 2000


@dataclass(frozen=True, slots=True)
class OutputLine:
    """One line of one replica. `at` is ISO 8601, where the engine knows it."""

    replica: int
    stream: str
    text: str
    at: str | None


async def follow_output(
    engine: Engine, containers: Sequence[Container], *, tail: int, follow: bool
) -> AsyncIterator[OutputLine]:
    """Lines as they come; a slow reader holds the writers back instead of filling memory."""
    lines: asyncio.Queue[OutputLine | None] = asyncio.Queue(QUEUE_LINES)

    async def pump(container: Container) -> None:
        replica = int(container.labels["orca.replica"])
        with suppress(OrcaError):
            async for line in engine.logs(container.id, tail=tail, follow=follow):
                at = line.at.isoformat() if line.at else None
                await lines.put(OutputLine(replica, line.stream, clean_output(line.text), at))
        await lines.put(None)

    pumps = [asyncio.create_task(pump(container)) for container in containers]
    try:
        open_pumps = len(pumps)
        while open_pumps:
            line = await lines.get()
            if line is None:
                open_pumps -= 1
            else:
                yield line
    finally:
        for each in pumps:
            each.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
