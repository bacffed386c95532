"""Live parts of a page: server-sent events that contain rendered fragments."""

from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi.responses import StreamingResponse

from orca.events import notifier
from orca.kit.sse import STREAM_HEADERS, format_event, keep_open

LOOK_AGAIN_SECONDS = 2.0

Draw = Callable[[], Awaitable[tuple[str, bool]]]
"""Returns the current fragment, and whether it can still change."""


def stream_fragment(name: str, draw: Draw) -> StreamingResponse:
    """Send the fragment as event `name` whenever it has changed, and `end` when it cannot change any more."""
    frames = keep_open(_frames(name, draw))
    return StreamingResponse(frames, media_type="text/event-stream", headers=STREAM_HEADERS)


async def _frames(name: str, draw: Draw) -> AsyncIterator[str]:
    shown = ""
    while True:
        seen_version = notifier.version
        fragment, is_final = await draw()
        if fragment != shown:
            shown = fragment
            yield format_event(name, fragment)
        if is_final:
            yield format_event("end", "")
            return
        await notifier.wait(LOOK_AGAIN_SECONDS, seen_version=seen_version)
