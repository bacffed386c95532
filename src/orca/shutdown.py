"""Stop what outlives the panel on purpose: the embedded proxy. For `scripts/up --down` and for taking Orca away."""

import asyncio
import sys

from orca.db import Database
from orca.doctor import NoTasks
from orca.errors import OrcaError
from orca.resources import open_resources
from orca.settings import Settings


async def stop_proxy(settings: Settings) -> None:
    """Stop the proxy for good; the next `orc serve` starts it again."""
    async with open_resources(settings, Database(settings.database), NoTasks()) as resources:
        await resources.proxy.stop()


def main() -> None:
    """Entry of `python -m orca.shutdown`."""
    try:
        asyncio.run(stop_proxy(Settings()))
    except OrcaError as error:
        sys.exit(f"the proxy could not be stopped: {error.message} {error.hint}")


if __name__ == "__main__":
    main()
