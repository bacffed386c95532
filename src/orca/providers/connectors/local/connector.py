"""Runs commands on this machine so that none outlives its deadline, its caller or Orca.

The unit is the process group, as the contract says: whatever a command leaves behind in its group is killed when it
ends. A program that is meant to live on (a proxy) has to leave the group by itself (`setsid`).
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import DeadlineExceeded
from orca.kit.fence import check_fence
from orca.providers.connectors.local.config import LocalConfig
from orca.providers.connectors.local.order import render_order
from orca.providers.connectors.local.supervision import supervised
from orca.sdk.connectors import Command, CommandResult, OutputSink

Observer = Callable[[Command], None]


class LocalConnector:
    """A live way into this machine. `observer` sees each command before it starts."""

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer
        self._base_env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(Path.home()),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
        }

    async def run(self, command: Command, on_output: OutputSink | None = None) -> CommandResult:
        """Run to the end; death by signal N is exit code 128 + N, as in a shell.

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


class LocalConnectorProvider:
    """Opens the way into this machine."""

    name: ClassVar[str] = "local"
    Config: ClassVar[type[BaseModel]] = LocalConfig

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer

    @asynccontextmanager
    async def open(self, config: BaseModel) -> AsyncIterator[LocalConnector]:
        """Nothing is opened, so nothing needs closing."""
        LocalConfig.model_validate(config.model_dump())
        yield LocalConnector(self._observer)
