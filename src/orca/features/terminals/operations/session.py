"""One open terminal: the process, what it wrote last, and the socket that shows it.

It lives in a task of its own, so that it can outlive the socket. It ends within seconds after the rights of its user,
whether a socket shows it or not.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import structlog

from orca.db import DATABASE_AWAY
from orca.errors import BadInput, OrcaError
from orca.features.terminals.actions import End, close_terminal, mark_alive
from orca.features.terminals.models import OpenTerminal
from orca.features.terminals.operations.viewer import Viewer
from orca.features.terminals.rules import RECHECK_SECONDS, Moment, Reason, find_end
from orca.features.terminals.schemas import WINDOW
from orca.kit.cancellation import shield_until_done
from orca.kit.tail import Tail
from orca.resources import Resources
from orca.sdk.terminals import Terminal, TerminalSize

log = structlog.get_logger("orca.terminals")
SCROLLBACK = 128 << 10
_HEARTBEAT_SECONDS = 20.0
_ATTEMPTS = 5
OpenIt = Callable[[], AbstractAsyncContextManager[Terminal]]
StillAdmitted = Callable[[], Awaitable[bool]]


class TerminalSession:
    """A terminal from its start to its end; `ended` has the end."""

    def __init__(
        self, resources: Resources, row: OpenTerminal, open_it: OpenIt, *, owner: tuple[str, ...], keeps: bool
    ) -> None:
        self.row = row
        self.owner = owner
        self.keeps = keeps
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._resources = resources
        self._open = open_it
        self._viewer: Viewer | None = None
        self._still_admitted: StillAdmitted | None = None
        self._scrollback = Tail(SCROLLBACK)
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._pending = 0
        self._has_input = True
        self._size: TerminalSize | None = None
        self._began = self._active = self._seen = self._left = time.monotonic()
        self._stopping: asyncio.Future[Reason] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run it in a task of its own."""
        self._resources.terminals[self.row.id] = self
        self._task = asyncio.create_task(self._run())

    def stop(self, reason: Reason) -> None:
        """End it soon."""
        if not self._stopping.done():
            self._stopping.set_result(reason)

    async def show_on(self, viewer: Viewer, still_admitted: StillAdmitted) -> None:
        """Show it on a socket from now on, beginning with what was written last; a former socket loses it."""
        async with viewer.lock:
            former, self._viewer, self._still_admitted = self._viewer, viewer, still_admitted
            before = self._scrollback.bytes()
            if former is not None:
                await former.say("moved")
                await former.hang_up()
            await viewer.say("opened", terminal=self.row.id, replica=self.row.replica, window=WINDOW)
            if before:
                await viewer.send("stdout", before)

    def leave(self, viewer: Viewer) -> None:
        """Note that a socket is gone."""
        viewer.leave()
        if self._viewer is viewer:
            self._viewer, self._left = None, time.monotonic()
            if not self.keeps:
                self.stop("disconnected")

    def type(self, data: bytes) -> None:
        """Pass input on. Raises BadInput for a client that sends more than it was allowed to."""
        self._pending += len(data)
        if self._pending > WINDOW:
            raise BadInput("More input was sent than was acknowledged.")
        self._active = time.monotonic()
        self._input.put_nowait(data)

    def end_input(self) -> None:
        """Pass on that there is no more input; once is enough."""
        if self._has_input:
            self._has_input = False
            self._input.put_nowait(None)

    def resize(self, size: TerminalSize) -> None:
        """Change the size within the next moments: of many changes in a row only the last one counts."""
        self._size = size

    async def _run(self) -> None:
        end = End("replica-gone")
        try:
            with self._resources.systems.hold(self.row.system_id):
                async with self._open() as terminal:
                    end = await self._follow(terminal)
        except OrcaError as error:
            end = End("replica-gone", message=error.sentences)
        except Exception:
            log.exception("terminal_crashed", terminal=self.row.id)
        finally:
            await shield_until_done(self._finish(end))

    async def _follow(self, terminal: Terminal) -> End:
        reading = asyncio.create_task(self._read_to_end(terminal))
        others = [asyncio.create_task(work(terminal)) for work in (self._write, self._size_it)]
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({reading, watching}, return_when="FIRST_COMPLETED")
            if reading.done():
                return await reading
            end = End(await watching)
            if self._viewer is not None:  # at once: killing what runs may take seconds
                await self._viewer.close(end)
            return end
        finally:
            for task in (reading, watching, *others):
                task.cancel()
            await asyncio.gather(reading, watching, *others, return_exceptions=True)

    async def _read_to_end(self, terminal: Terminal) -> End:
        """Show output, then wait for the exit, which comes later when the process has closed its output.

        While no socket shows it, it goes on, and only the end of its output is kept.
        """
        while (part := await terminal.read()) is not None:
            stream, data = part
            self._active = time.monotonic()
            if self.keeps:
                self._scrollback.add(data)
            if (viewer := self._viewer) is not None:
                await viewer.show(stream, data)
        try:
            return End("exited", await terminal.wait())
        except OrcaError:  # the container went away together with the process
            return End("replica-gone")

    async def _write(self, terminal: Terminal) -> None:
        """Pass on what was typed, and acknowledge it once the process has taken it."""
        while (data := await self._input.get()) is not None:
            await terminal.write(data)
            self._pending -= len(data)
            if self._viewer is not None:
                await self._viewer.say("ack", bytes=len(data))
        await terminal.close_input()

    async def _size_it(self, terminal: Terminal) -> None:
        shown = None
        while True:
            if self._size is not None and self._size != shown:
                shown = self._size
                await terminal.resize(shown)
            await asyncio.sleep(0.1)

    async def _watch(self) -> Reason:
        """Return why it has to end."""
        checked = time.monotonic()
        while True:
            done, _ = await asyncio.wait({self._stopping}, timeout=1)
            if done:
                return self._stopping.result()
            now = time.monotonic()
            alone = now - self._left if self._viewer is None else None
            if reason := find_end(Moment(now - self._began, now - self._active, alone), keeps=self.keeps):
                return reason
            if now - checked >= RECHECK_SECONDS:
                checked = now
                if self._still_admitted is not None and not await self._still_admitted():
                    return "access-ended"
            if now - self._seen >= _HEARTBEAT_SECONDS:
                self._seen = now
                await self._mark_alive()

    async def _mark_alive(self) -> None:
        try:
            async with self._resources.db.write(self.row.team_id) as session:
                await mark_alive(session, [self.row.id])
        except DATABASE_AWAY as error:
            log.warning("terminal_not_noted", terminal=self.row.id, error=type(error).__name__)

    async def _finish(self, end: End) -> None:
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    async with self._resources.db.write(self.row.team_id) as session:
                        await close_terminal(session, self.row, end)
                    break
                except DATABASE_AWAY:  # the periodic job records it, if the database stays away
                    await asyncio.sleep(attempt)
        finally:
            self._resources.terminals.pop(self.row.id, None)
            self.ended.set_result(end)
            if self._viewer is not None:
                await self._viewer.close(end)
