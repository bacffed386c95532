"""The Caddy with the routes: reloaded by each change of their shape, which visitors do not notice behind the edge."""

import asyncio
from contextlib import suppress
from pathlib import Path

from orca.errors import OrcaError
from orca.providers.proxies.caddy.admin import AdminApi
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.runtime import Runtime, wait_until_up
from orca.providers.proxies.caddy.store import Served

_POLL = 0.005
_LOOKS, _LOOK_PAUSE = 5, 0.1
"""A socket is missing for a moment while Caddy starts."""


class Router:
    """Its process, its admin API, and the two files in which the edge finds it.

    Each configuration listens on a socket of its own. The edge tries the one in `next` first, so it turns by itself
    once the new one listens; the one before takes what is on its way for a moment longer.
    """

    def __init__(self, layout: Layout, runtime: Runtime) -> None:
        self.runtime = runtime
        self.admin = AdminApi(layout.router.admin_socket)
        self._next = layout.next
        self._current = layout.current
        self._loading: asyncio.Task[None] | None = None

    async def start(self, served: Served) -> None:
        """Make sure that it runs and serves `served`, whose files are written, and that the edge finds it there."""
        is_new = not await self.runtime.is_current() or await self.is_cut_off()
        if is_new:
            # The one before keeps its streams; it has the same routes, and gets no new requests.
            if not await self.runtime.step_aside():
                await self.runtime.stop()
            await self.runtime.start()
        if await wait_until_up(self.admin, self.runtime) != served.text:
            await self.turn_to(served)
            await self.settle()
        await asyncio.to_thread(self._point, served, self._next, self._current, anew=is_new)

    async def is_cut_off(self) -> bool:
        """Whether it runs, but nobody can reach it any more: its socket is gone, and stays so."""
        for _ in range(_LOOKS):
            if not await self.admin.is_gone() or await self.runtime.pid() is None:
                return False
            await asyncio.sleep(_LOOK_PAUSE)
        return True

    async def turn_to(self, served: Served) -> None:
        """Begin to load `served` and wait until it listens, or is refused: then RequestRefused is raised. The load ends
        a moment later, with the configuration before; `settle` waits for that.
        """
        await self._forget()
        is_known = self.is_pointed_at(served)
        await asyncio.to_thread(self._point, served, self._next)
        self._loading = asyncio.create_task(self._load(served))
        while not self._loading.done() and (is_known or not await _listens(served.socket)):
            await asyncio.wait({self._loading}, timeout=_POLL)
        self.check_load()

    async def settle(self) -> None:
        """Wait until only what was loaded last is served. Raises RequestRefused when Caddy did not take it."""
        if self._loading is not None:
            await asyncio.shield(self._loading)

    def check_load(self) -> None:
        """Raise what a load that has ended has raised."""
        if self._loading is not None and self._loading.done():
            self._loading.result()

    async def go_back(self, served: Served) -> None:
        """Serve `served`, whatever a load that was interrupted has left."""
        await self._forget()
        if served.text and await self.admin.read() != served.text:
            await self.turn_to(served)
            await self.settle()
        else:
            await asyncio.to_thread(self._point, served, self._next, self._current)

    def is_pointed_at(self, served: Served) -> bool:
        """Whether the edge asks where `served` is served."""
        return served.socket is None or served.socket == _read(self._next)

    async def _load(self, served: Served) -> None:
        await self.admin.load(served.text)
        await asyncio.to_thread(self._point, served, self._current)

    async def _forget(self) -> None:
        with suppress(OrcaError, OSError):
            await self.settle()
        self._loading = None

    def _point(self, served: Served, *files: Path, anew: bool = False) -> None:
        """Another spelling of the same path makes the edge open connections `anew`, to the process that listens now."""
        for file in files:
            if served.socket is not None and (anew or served.socket != _read(file)):
                socket = str(served.socket)
                if file.exists() and file.read_text() == f"unix/{socket}":
                    socket = f"{served.socket.parent}//{served.socket.name}"
                # Not as the store does: a load may end while another process tidies the store's drafts away.
                draft = file.with_suffix(".new")
                draft.write_text(f"unix/{socket}")
                draft.chmod(0o600)
                draft.replace(file)


async def _listens(socket: Path | None) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_unix_connection(str(socket))
        writer.close()
        return True
    return False


def _read(file: Path) -> Path | None:
    with suppress(OSError):
        return Path(file.read_text().removeprefix("unix/"))
    return None
