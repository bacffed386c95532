"""Parts of a page that redraw themselves: server-sent events that carry fragments."""

from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi.responses import StreamingResponse

from orca.events import bell
from orca.kit.sse import STREAM_HEADERS, format_event, keep_open

LOOK_AGAIN_SECONDS = 2.0

Draw = Callable[[], Awaitable[tuple[str, bool]]]
"""Gives the fragment as it is now, and whether it can still change."""


def stream_fragment(name: str, draw: Draw) -> StreamingResponse:
    """Send the fragment as event `name` whenever it looks different; `end` when it can change no more."""
    frames = keep_open(_frames(name, draw))
    return StreamingResponse(frames, media_type="text/event-stream", headers=STREAM_HEADERS)


async def _frames(name: str, draw: Draw) -> AsyncIterator[str]:
    shown = ""
    while True:
        heard = bell.rung
        fragment, is_final = await draw()
        if fragment != shown:
            shown = fragment
            yield format_event(name, fragment)
        if is_final:
            yield format_event("end", "")
            return
        await bell.wait(LOOK_AGAIN_SECONDS, heard=heard)
