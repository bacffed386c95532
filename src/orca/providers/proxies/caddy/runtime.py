"""The interface of what runs Caddy: a container or a process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Protocol

from orca.errors import ProviderUnavailable
from orca.kit.cancellation import finish_then_cancel, shield_until_done
from orca.providers.proxies.caddy.admin import AdminApi
from orca.providers.proxies.caddy.layout import Layout, Program
from orca.sdk.connectors import Connector, SupportsSockets

_START_DEADLINE = 30.0
_START_POLL = 0.02
_REQUESTS_END_WITHIN = 5.0
_STREAMS_END_WITHIN = 24 * 3600.0


class Runtime(Protocol):
    """One way to run Caddy so that it outlives Orca. Raises ProviderUnavailable when its state is unknown."""

    async def pid(self) -> int | None:
        """Return its process id on the host; None when it does not run."""
        ...

    async def is_current(self) -> bool:
        """Whether it runs with the options that a start now would use."""
        ...

    async def start(self) -> None:
        """Start it. The caller has called `stop` or `step_aside`, so that nothing of an earlier one is left."""
        ...

    async def stop(self) -> None:
        """Stop it and remove what was created to run it. No error when there is nothing."""
        ...

    async def step_aside(self) -> bool:
        """Make room for a successor; open streams continue. False when it does not run."""
        ...

    async def step_back(self) -> None:
        """Undo `step_aside`, because the successor could not start."""
        ...

    async def end_aside(self) -> None:
        """Kill all replaced programs now, with their streams."""
        ...

    async def reap(self) -> None:
        """Kill replaced programs that have no streams left, or that were replaced a day ago."""
        ...

    async def pids(self) -> list[int]:
        """Return the process ids of the running program and of replaced ones."""
        ...

    async def last_words(self) -> str:
        """Return the end of its log, for error messages."""
        ...


@asynccontextmanager
async def replacing(runtime: Runtime, undo: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[bool]:
    """Make room for a successor that the block starts; yields whether the old program goes on beside it.

    When the block fails, `undo` brings the old program back.
    """
    is_beside = await finish_then_cancel(runtime.step_aside())
    try:
        if not is_beside:
            await runtime.stop()
        yield is_beside
    except BaseException:
        if is_beside:
            await shield_until_done(undo())
        raise


def environment(layout: Layout, program: Program) -> dict[str, str]:
    """Return Caddy's environment: without the machine's variables, and with the admin socket as Caddy's default."""
    return {
        "HOME": str(layout.storage),
        "XDG_DATA_HOME": str(layout.storage),
        "XDG_CONFIG_HOME": str(layout.storage),
        "CADDY_ADMIN": f"unix/{program.admin_socket}|0600",
    }


async def has_ended(connector: Connector, pid: int, aside_since: float) -> bool:
    """Whether a replaced program may be killed: it has no streams left, or its time is over."""
    age = time.time() - aside_since
    if age < _REQUESTS_END_WITHIN:
        return False
    if age > _STREAMS_END_WITHIN:
        return True
    if not isinstance(connector, SupportsSockets):
        return False
    sockets = await connector.list_sockets(pid)
    return sockets is not None and not any(socket.is_connected for socket in sockets)


async def wait_until_up(admin: AdminApi, runtime: Runtime) -> bytes:
    """Wait until Caddy answers; return the live configuration. Raises ProviderUnavailable with the end of its log."""
    try:
        async with asyncio.timeout(_START_DEADLINE):
            while True:
                try:
                    return await admin.read()
                except ProviderUnavailable:
                    await asyncio.sleep(_START_POLL)
    except TimeoutError:
        raise ProviderUnavailable(
            f"Caddy did not start within {_START_DEADLINE:g} seconds.",
            hint="Its last words: " + (await runtime.last_words())[-1500:],
        ) from None
