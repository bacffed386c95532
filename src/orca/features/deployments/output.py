"""What the replicas of a service write, merged into one stream of bounded memory."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from orca.errors import OrcaError
from orca.features.deployments.actions.choose import VARIABLES
from orca.features.secrets.queries import open_secrets_of
from orca.features.services.models import Service
from orca.kit.text import clean_output, redact, redactions
from orca.resources import Resources
from orca.sdk.engines import Container, Engine

QUEUE_LINES = 2000


@dataclass(frozen=True, slots=True)
class OutputLine:
    """One line of one replica. `at` is ISO 8601, where the engine knows it."""

    replica: int
    stream: str
    text: str
    at: str | None


async def list_hidden(resources: Resources, service_id: str, containers: Sequence[Container]) -> tuple[str, ...]:
    """Values of secret variables that these containers know, the longest first; none where the service shows them."""
    releases = {each.labels.get("orca.release", "") for each in containers}
    async with resources.db.read() as session:
        service = await session.get(Service, service_id)
        if service is None or not service.masks_secrets:
            return ()
        sealed = await open_secrets_of(session, resources.secret_box, "release", releases, VARIABLES)
    values = {value for each in sealed.values() for value in json.loads(each).values()}
    return tuple(sorted(redactions(values), key=len, reverse=True))


async def follow_output(
    engine: Engine, containers: Sequence[Container], *, tail: int, follow: bool, hidden: tuple[str, ...] = ()
) -> AsyncIterator[OutputLine]:
    """Lines as they come, without `hidden`; a slow reader holds the writers back instead of filling memory."""
    lines: asyncio.Queue[OutputLine | None] = asyncio.Queue(QUEUE_LINES)

    async def pump(container: Container) -> None:
        replica = int(container.labels["orca.replica"])
        with suppress(OrcaError):
            async for line in engine.logs(container.id, tail=tail, follow=follow):
                at = line.at.isoformat() if line.at else None
                await lines.put(OutputLine(replica, line.stream, redact(clean_output(line.text), hidden), at))
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
