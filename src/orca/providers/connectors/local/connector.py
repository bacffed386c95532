"""Runs commands on this machine so that none outlives its deadline, its caller or Orca.

The unit is the process group, as the contract says: processes that a command leaves in its group are killed when it
ends. A program that must live on (a proxy) has to leave the group itself (`setsid`).
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import psutil
from pydantic import BaseModel

from orca.errors import DeadlineExceeded
from orca.kit.fence import check_fence
from orca.providers.connectors.local.config import LocalConfig
from orca.providers.connectors.local.order import render_order
from orca.providers.connectors.local.sockets import list_sockets
from orca.providers.connectors.local.supervision import supervised
from orca.sdk.connectors import Command, CommandResult, DiskUsage, OpenSocket, OutputSink

Observer = Callable[[Command], None]


class LocalConnector:
    """An open connector to this machine. `observer` is called with each command before it starts."""

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer
        self._base_env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(Path.home()),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        """Run a command to its end; death by signal N is exit code 128 + N, as in a shell.

        Raises ProviderUnavailable (the program cannot be started), RequestRefused (no such working directory),
        DeadlineExceeded.
        """
        await check_fence()
        if self._observer:
            self._observer(command)
        order = render_order(command, {**self._base_env, **command.env})
        timer = asyncio.timeout(command.deadline)
        try:
            async with timer, supervised(order, command.stdin) as process:
                return await process.follow(command.output_limit, on_output)
        except TimeoutError:
            if not timer.expired():
                raise
            raise DeadlineExceeded(
                f"{command.argv[0]} did not finish within {command.deadline:g} seconds and was stopped.",
                hint="Look at its output for what it was waiting for, or give it more time.",
            ) from None

    async def open_connection(
        self, host: str, port: int, *, limit: int = 1 << 16
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect from this process. Raises OSError."""
        return await asyncio.open_connection(host, port, limit=limit)

    async def measure_disk(self, path: str) -> DiskUsage | None:
        """Measure the file system that a path is on; None where there is no such path, or none that Orca may see."""
        try:
            usage = await asyncio.to_thread(psutil.disk_usage, path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        return DiskUsage(usage.total, usage.free)

    async def list_addresses(self) -> list[str]:
        """Return the IP addresses of this machine's interfaces, without zones."""
        families = {socket.AF_INET, socket.AF_INET6}
        found = (entry for entries in psutil.net_if_addrs().values() for entry in entries if entry.family in families)
        return [entry.address.partition("%")[0] for entry in found]

    async def list_sockets(self, pid: int | None = None) -> list[OpenSocket] | None:
        """Return the TCP and UDP sockets of all processes, or of one; None where they may not be seen."""
        return await asyncio.to_thread(list_sockets, pid)

    def local_path(self, path: str) -> Path:
        """Return the path itself: this process runs on the system."""
        return Path(path)


class LocalConnectorProvider:
    """Opens connectors to this machine."""

    name: ClassVar[str] = "local"
    Config: ClassVar[type[BaseModel]] = LocalConfig

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer

    @asynccontextmanager
    async def open(self, config: BaseModel) -> AsyncIterator[LocalConnector]:
        """Return a connector. It holds no resources, so that nothing needs closing."""
        LocalConfig.model_validate(config.model_dump())
        yield LocalConnector(self._observer)
