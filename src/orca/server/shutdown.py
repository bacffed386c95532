"""Stops the embedded proxy, which outlives the panel on purpose. For `scripts/up --down` and uninstalling Orca."""

import asyncio
import sys

from orca.db import Database
from orca.errors import OrcaError
from orca.resources import open_resources
from orca.server.doctor import NoTasks
from orca.settings import Settings
from orca.systems import LOCAL


async def stop_proxy(settings: Settings) -> None:
    """Stop the proxy of this machine for good; the next `orc serve` starts it again. Other systems serve on."""
    db = Database(settings.database)
    try:
        async with open_resources(settings, db, NoTasks()) as resources:
            proxy = await resources.systems.proxy(LOCAL)
            await proxy.stop()
    finally:
        await db.close()


def main() -> None:
    """Entry of `python -m orca.server.shutdown`."""
    try:
        asyncio.run(stop_proxy(Settings()))
    except OrcaError as error:
        sys.exit(f"the proxy could not be stopped: {error.sentences}")


if __name__ == "__main__":
    main()
