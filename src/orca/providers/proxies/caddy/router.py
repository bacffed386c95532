"""The Caddy with the routes: reloaded by each change except of addresses, unnoticed by visitors of the edge."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from orca.errors import OrcaError
from orca.kit.threads import run_in_thread
from orca.providers.proxies.caddy.admin import AdminApi
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.runtime import Runtime, replacing, wait_until_up
from orca.providers.proxies.caddy.store import Served

_POLL, _POLL_SHARE = 0.005, 0.05
"""Minimum seconds between two polls, and as a share of the time waited so far: a poll costs half a millisecond."""
_LOOKS, _LOOK_PAUSE = 5, 0.1
"""Number of checks and seconds between them: the socket does not exist for a moment while Caddy starts."""

_SCHEME = "unix/"
_SPELLINGS, _LONGEST_PATH = 24, 107
"""So many that none comes again within five seconds, as far as the kernel's limit of a socket's path allows."""


class CaddyRouter:
    """The router's process, its admin API, and the two files by which the edge finds its socket.

    Each configuration listens on its own socket. The edge tries the one in `next` first, so it switches by itself once
    the new one listens; the previous one accepts requests that are on their way for a moment longer.
    """

    def __init__(self, layout: Layout, runtime: Runtime) -> None:
        self.runtime = runtime
        self.admin = AdminApi(layout.router.admin_socket)
        self._next = layout.next
        self._current = layout.current
        self._loading: asyncio.Task[None] | None = None

    async def start(self, served: Served) -> None:
        """Make sure that it runs and serves `served`, whose files are written, and that the edge finds its socket."""
        is_new = not await self.runtime.is_current() or await self.is_cut_off()
        if is_new:
            await self._replace()
        if await wait_until_up(self.admin, self.runtime) != served.text:
            await self.turn_to(served)
            await self.settle()
        await run_in_thread(self._point, served, self._next, self._current, anew=is_new)

    async def _replace(self) -> None:
        """Start a new process. The old one has the same routes; its streams continue, but it gets no new requests."""
        async with replacing(self.runtime, self.runtime.step_back):
            await self.runtime.start()
            await wait_until_up(self.admin, self.runtime)

    async def is_cut_off(self) -> bool:
        """Whether it runs but is unreachable, because its admin socket is gone for good."""
        for _ in range(_LOOKS):
            if not await self.admin.is_gone() or await self.runtime.pid() is None:
                return False
            await asyncio.sleep(_LOOK_PAUSE)
        return True

    async def turn_to(self, served: Served) -> None:
        """Start to load `served` and wait until it listens. Raises RequestRefused if Caddy refuses it. The load itself
        finishes a moment later, when the previous configuration has ended; `settle` waits for that.
        """
        await self._forget()
        is_known = self.is_pointed_at(served)
        await run_in_thread(self._point, served, self._next)
        self._loading, begun = asyncio.create_task(self._load(served)), time.monotonic()
        while not self._loading.done() and (is_known or not await _listens(served.socket)):
            await asyncio.wait({self._loading}, timeout=max(_POLL, _POLL_SHARE * (time.monotonic() - begun)))
        self.check_load()

    async def settle(self) -> None:
        """Wait until only the last loaded configuration is served. Raises RequestRefused when Caddy refused it."""
        if self._loading is not None:
            await asyncio.shield(self._loading)

    def check_load(self) -> None:
        """Raise the error of a load that has ended."""
        if self._loading is not None and self._loading.done():
            self._loading.result()

    async def go_back(self, served: Served) -> None:
        """Serve `served` again, regardless of the state that an interrupted load has left."""
        await self._forget()
        if served.text and await self.admin.read() != served.text:
            await self.turn_to(served)
            await self.settle()
        else:
            await run_in_thread(self._point, served, self._next, self._current)

    def is_pointed_at(self, served: Served) -> bool:
        """Whether the edge uses the socket of `served`."""
        return served.socket is None or served.socket == _path(_read_text(self._next))

    async def _load(self, served: Served) -> None:
        await self.admin.load(served.text)
        await run_in_thread(self._point, served, self._current)

    async def _forget(self) -> None:
        with suppress(OrcaError, OSError):
            await self.settle()
        self._loading = None

    def _point(self, served: Served, *files: Path, anew: bool = False) -> None:
        """Write the socket of `served` to `files`. With `anew` the edge opens new connections, to the process that
        listens now.
        """
        if served.socket is None:
            return
        text = self._spell(served.socket, anew=anew)
        for file in files:
            if _read_text(file) != text:
                # Not through the store: a load may end while another process removes the store's drafts.
                draft = file.with_suffix(".new")
                draft.write_text(text)
                draft.chmod(0o600)
                draft.replace(file)

    def _spell(self, socket: Path, *, anew: bool) -> str:
        """Return the address of a socket, with more slashes each time that it comes into use again.

        The edge pools connections by the spelling. For five seconds it may still have one to the servers that had this
        socket before: Go's `Shutdown` spares a connection that carried no request yet, and hangs up on the first one.
        """
        before = _read_text(self._next)
        if _path(before) == socket and not anew:
            return before
        slashes = len(before.removeprefix(_SCHEME)) - len(str(_path(before))) if before else 0
        room = max(min(_SPELLINGS, _LONGEST_PATH - len(str(socket))), 2)
        return f"{_SCHEME}{socket.parent}/{'/' * ((slashes + 1) % room)}{socket.name}"


async def _listens(socket: Path | None) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_unix_connection(str(socket))
        writer.close()
        return True
    return False


def _read_text(file: Path) -> str:
    with suppress(OSError):
        return file.read_text()
    return ""


def _path(text: str) -> Path | None:
    return Path(text.removeprefix(_SCHEME)) if text else None
