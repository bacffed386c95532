"""What keeps Caddy running: a container or a process."""

import asyncio
import time
from typing import Protocol

import psutil

from orca.errors import ProviderUnavailable
from orca.providers.proxies.caddy.admin import AdminApi
from orca.providers.proxies.caddy.layout import Layout, Program

_START_DEADLINE = 30.0
_START_POLL = 0.02
_REQUESTS_END_WITHIN = 5.0
_STREAMS_END_WITHIN = 24 * 3600.0


class Runtime(Protocol):
    """One way to run Caddy so that it outlives Orca. Raises ProviderUnavailable when nothing can be known."""

    async def pid(self) -> int | None:
        """Its process on the host; None when none runs."""
        ...

    async def is_current(self) -> bool:
        """True when it runs, and as it would be started now."""
        ...

    async def start(self) -> None:
        """Start it. Nothing of an earlier one is left: `stop` was called."""
        ...

    async def stop(self) -> None:
        """End it and remove what was made to run it; no error when there is nothing."""
        ...

    async def step_aside(self) -> bool:
        """Let a successor take its place; it keeps the streams it has. False when none runs."""
        ...

    async def step_back(self) -> None:
        """Take the place again, for the successor could not start."""
        ...

    async def end_aside(self) -> None:
        """End those that stepped aside now, with their streams."""
        ...

    async def reap(self) -> None:
        """End those that stepped aside, once they have no streams left, or had a day for that."""
        ...

    async def pids(self) -> list[int]:
        """The one that runs, and those that stepped aside."""
        ...

    async def last_words(self) -> str:
        """The end of its log, for an explanation."""
        ...


def environment(layout: Layout, program: Program) -> dict[str, str]:
    """Caddy's variables: nothing of the machine's own leaks in, and even an emptied Caddy keeps its private door."""
    return {
        "HOME": str(layout.storage),
        "XDG_DATA_HOME": str(layout.storage),
        "XDG_CONFIG_HOME": str(layout.storage),
        "CADDY_ADMIN": f"unix/{program.admin_socket}|0600",
    }


def has_ended(pid: int, aside_since: float) -> bool:
    """Whether a program that stepped aside may be ended: no stream is left, or it had its time."""
    age = time.time() - aside_since
    if age < _REQUESTS_END_WITHIN:
        return False
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return age > _STREAMS_END_WITHIN
    return age > _STREAMS_END_WITHIN or all(each.status != psutil.CONN_ESTABLISHED for each in connections)


async def wait_until_up(admin: AdminApi, runtime: Runtime) -> bytes:
    """The live configuration, once Caddy answers. Raises ProviderUnavailable with its last words."""
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
