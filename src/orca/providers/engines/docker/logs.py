"""The lines a container writes."""

from collections.abc import AsyncGenerator
from datetime import datetime

from orca.providers.engines.docker.connection import QUICK, ApiRequest, DockerConnection
from orca.providers.engines.docker.frames import FrameDecoder, LineAssembler
from orca.sdk.workloads import LogLine


async def read_logs(
    connection: DockerConnection, container_id: str, *, tail: int | None, follow: bool, since: datetime | None = None
) -> AsyncGenerator[LogLine, None]:
    """Yield the last `tail` lines (None: all that are stored) and, with `follow`, new ones until the container ends."""
    params = {
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "follow": "1" if follow else "0",
        "tail": "all" if tail is None else str(max(0, tail)),
    }
    if since is not None:
        params["since"] = f"{int(since.timestamp())}.{since.microsecond:06}000"
    request = ApiRequest("GET", f"containers/{container_id}/logs", params=params)
    decoder, lines = FrameDecoder(), LineAssembler()
    async with connection.stream("read the log", request, silence=None if follow else QUICK) as response:
        async for chunk in response.aiter_raw():
            for frame in decoder.feed(chunk):
                if line := lines.take(frame):
                    yield line
    for line in lines.rest():
        yield line
