"""A worker with the consumers of events, as a process of its own, so that it can be killed: its settings as JSON."""

import asyncio
import json
import sys
from pathlib import Path

from tests.conftest import make_settings

from orca.app import open_house
from orca.events.consumers import list_jobs
from orca.features import list_consumers


async def main() -> None:
    data_dir, overrides = Path(sys.argv[1]), json.loads(sys.argv[2])
    async with open_house(make_settings(data_dir, **overrides)) as (resources, engine):
        await engine.start(resources, list_jobs(list_consumers()))
        await asyncio.sleep(120)


if __name__ == "__main__":
    asyncio.run(main())
