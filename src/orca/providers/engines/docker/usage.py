"""Disk usage of an engine."""

import asyncio
import time
from typing import Any, Literal

from orca.providers.engines.docker.connection import SLOW, DockerConnection
from orca.sdk.engines import EngineFailed

_PATIENCE, _PAUSE = 10.0, 0.2
"""Seconds during which to retry, and between two tries."""


async def read_usage(
    connection: DockerConnection, action: str, kind: Literal["build-cache", "image"]
) -> dict[str, Any]:
    """Return the response of `/system/df`. Engines before API 1.42 ignore `type` and measure everything.

    They also answer 500 while another such request runs, so the request is retried for a while. Raises EngineFailed.
    """
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            answer: dict[str, Any] = await connection.get(action, "system/df", deadline=SLOW, params={"type": kind})
        except EngineFailed:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(_PAUSE)
        else:
            return answer
