"""Live parts of a page: server-sent events that contain what has changed of a rendered fragment.

All tabs that show the same thing with the same rights share one drawing. It is drawn again when something has
happened, not at intervals; `LOOK_AGAIN_SECONDS` is for what no notice came of.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, MutableMapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

import structlog
from fastapi import Request
from fastapi.responses import StreamingResponse

from orca.events import notifier
from orca.events.feed import Feed
from orca.kit.sse import STREAM_HEADERS, format_event
from orca.resources import Resources
from orca.web.guard import Subject
from orca.web.marks import Fragment, read_fragment

log = structlog.get_logger("orca.web")

LOOK_AGAIN_SECONDS = 30.0
PAUSE_SECONDS = 0.3
"""The least time between two drawings: one act may be several events."""
BEAT_SECONDS = 2.0
"""How often an idle stream says that it is there. The page reports a lost connection when the next beat is late."""

Draw = Callable[[], Awaitable[tuple[str, bool]]]
"""Returns the current fragment, and whether it can still change."""
Listen = Callable[[asyncio.Event], AbstractContextManager[None]]
"""Sets the event, as long as the context is open, whenever the fragment may have changed."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a live part of a page listens to, besides the events of its team."""

    topic: str = ""
    """Of progress that is not worth an event; see `notifier.listen`."""
    others: Sequence[Listen] = ()
    with_instance: bool = False
    """Whether events of no team count as well."""
    look_again: float = LOOK_AGAIN_SECONDS


EVENTS_ONLY = Sources()


def stream_fragment(
    request: Request, draw: Draw, sources: Sources = EVENTS_ONLY, *, shared: bool = False
) -> StreamingResponse:
    """Send the fragment, then what has changed of it, and `end` when it cannot change any more.

    `shared`: it contains nothing of the session, so that others with the same rights may see the same drawing.
    """
    subject: Subject = request.state.subject
    resources: Resources = request.app.state.resources
    team = partial(Feed.of(resources.db).watch, subject.team_id, with_instance=sources.with_instance)
    listens: list[Listen] = [team, *sources.others]
    if sources.topic:
        listens.append(partial(notifier.listen, sources.topic))
    rights = (subject.team_id, subject.grants, subject.is_instance_admin, subject.at)
    key = (str(request.url.path), request.url.query, rights, "" if shared else subject.session_id)
    drawings: MutableMapping[Hashable, Drawing] = request.app.state.drawings
    drawing = drawings.get(key)
    if drawing is None or drawing.is_over:
        drawing = drawings[key] = Drawing(draw, listens, sources.look_again)
    return StreamingResponse(drawing.follow(), media_type="text/event-stream", headers=STREAM_HEADERS)


@dataclass(eq=False)
class Drawing:
    """One fragment, drawn for all that follow it, until the last of them is gone."""

    draw: Draw
    listens: Sequence[Listen]
    look_again: float
    is_over: bool = False
    """Whether it is not drawn any more: it is final, could not be drawn, or has no followers."""
    _is_final: bool = False
    _shown: Fragment | None = None
    _followers: set[asyncio.Event] = field(default_factory=set)
    _task: asyncio.Task[None] | None = None

    async def follow(self) -> AsyncIterator[str]:
        """Yield the frames of one stream. A frame without news is sent every `BEAT_SECONDS`."""
        news, sent = asyncio.Event(), None
        news.set()
        self._followers.add(news)
        if self._task is None:
            self._task = asyncio.create_task(self._keep())
        try:
            while True:
                try:
                    async with asyncio.timeout(BEAT_SECONDS):
                        await news.wait()
                except TimeoutError:
                    yield "event: beat\ndata:\n\n"
                    continue
                news.clear()
                if self._shown is not None and self._shown != sent:
                    frame, sent = _frame(sent, self._shown), self._shown
                    yield frame
                if self._is_final:
                    yield format_event("end", "")
                if self.is_over:
                    return
        finally:
            self._leave(news)

    def _leave(self, news: asyncio.Event) -> None:
        self._followers.discard(news)
        if not self._followers and self._task is not None:
            self._task.cancel()
            self.is_over = True

    async def _keep(self) -> None:
        bell = asyncio.Event()
        with ExitStack() as stack:
            for listen in self.listens:
                stack.enter_context(listen(bell))
            try:
                while await self._draw_once(bell):
                    began = time.monotonic()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self.look_again):
                            await bell.wait()
                    await asyncio.sleep(max(0.0, began + PAUSE_SECONDS - time.monotonic()))
            except Exception as error:  # noqa: BLE001 - the page connects again, and is answered why
                log.info("live_part_ended", reason=type(error).__name__)
            finally:
                self.is_over = True
                self._tell()

    async def _draw_once(self, bell: asyncio.Event) -> bool:
        """Draw, and return whether it can change again."""
        bell.clear()  # what happens while it is drawn is drawn next
        text, self._is_final = await self.draw()
        shown = read_fragment(text)
        if shown != self._shown:
            self._shown = shown
            if not self._is_final:
                self._tell()
        return not self._is_final

    def _tell(self) -> None:
        for news in self._followers:
            news.set()


def _frame(sent: Fragment | None, shown: Fragment) -> str:
    """All of it at first and when its outline has changed; else the elements that have changed."""
    if sent is None or sent.outline != shown.outline:
        return format_event("whole", shown.text)
    changed = (part for name, part in shown.parts.items() if sent.parts[name] != part)
    return format_event("parts", "".join(changed))
