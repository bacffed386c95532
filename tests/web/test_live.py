"""Fragments that redraw themselves do so at once, whatever happens while they are drawn."""

import asyncio
import time

from orca.events import notifier
from orca.web.live import LOOK_AGAIN_SECONDS, stream_fragment


async def test_what_changes_while_a_fragment_is_drawn_is_shown_at_once() -> None:
    state = "retiring"

    async def draw() -> tuple[str, bool]:
        nonlocal state
        drawn, state = state, "succeeded"
        notifier.notify()
        await asyncio.sleep(0)
        return drawn, drawn == "succeeded"

    began = time.monotonic()
    frames = [str(frame).splitlines()[:2] async for frame in stream_fragment("state", draw).body_iterator]
    assert frames == [["event: state", "data: retiring"], ["event: state", "data: succeeded"], ["event: end", "data: "]]
    assert time.monotonic() - began < LOOK_AGAIN_SECONDS / 2
