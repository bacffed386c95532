"""Server-sent events (WHATWG HTML, section 9.2): text frames over one long response."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
PING_SECONDS = 15.0
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


def format_event(name: str, data: Any, *, event_id: str | None = None) -> str:
    """Format one frame. Data that is not text is sent as JSON; line breaks become several data lines."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    lines = "".join(f"data: {line}\n" for line in _LINE_BREAK.split(text))
    identifier = f"id: {event_id}\n" if event_id is not None else ""
    return f"{identifier}event: {name}\n{lines}\n"


async def keep_open(frames: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield the frames, and a comment every 15 s, so that no proxy closes an idle stream."""
    iterator = aiter(frames)
    upcoming: asyncio.Future[str] = asyncio.ensure_future(anext(iterator))
    try:
        while True:
            done, _ = await asyncio.wait({upcoming}, timeout=PING_SECONDS)
            if not done:
                yield ": still here\n\n"
                continue
            try:
                frame = upcoming.result()
            except StopAsyncIteration:
                return
            yield frame
            upcoming = asyncio.ensure_future(anext(iterator))
    finally:
        upcoming.cancel()
