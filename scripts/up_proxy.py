"""The proxy outlives the panel on purpose, so that it is moved and stopped on its own, by Orca's own code."""

import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

HOUSING = frozenset({"ORC_PROXY_MODE", "ORC_PROXY_NAME", "ORC_DOCKER_HOST"})
"""What decides how it runs. Everything else about it can change while it serves."""

_START = """
import asyncio, sys
from orca.db import Database
from orca.server.doctor import NoTasks
from orca.errors import OrcaError
from orca.resources import open_resources
from orca.settings import Settings


async def start(settings):
    async with open_resources(settings, Database(settings.database), NoTasks()) as resources:
        await (await resources.systems.proxy("local")).start()


try:
    asyncio.run(start(Settings()))
except OrcaError as error:
    sys.exit(f"{error.message} {error.hint}")
"""


def concerns_proxy(changed: Collection[str]) -> bool:
    """Whether the proxy must hear of these settings: a panel that starts leaves a proxy that runs alone."""
    return any(name.startswith("ORC_PROXY_") or name in HOUSING for name in changed)


def move_proxy(python: Path, environment: Mapping[str, str]) -> str:
    """Have it serve as these settings say; why it does not, else nothing. It loads them without a gap."""
    argv = [str(python), "-P", "-c", _START]
    done = subprocess.run(argv, env=dict(environment), capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr.strip() or "the proxy could not be started"


def stop_proxy(python: Path, environment: Mapping[str, str]) -> None:
    """End it, with the settings that it was started with."""
    done = subprocess.run([python, "-P", "-m", "orca.server.shutdown"], check=False, env=dict(environment))
    if done.returncode == 0:
        print("✓ proxy stopped")
