"""`orc worker`: the task loop as a separate process, for PostgreSQL with several workers."""

import asyncio
import resource
import signal

import structlog

from orca.app import list_periodic, open_house, run_before_tasks
from orca.errors import OrcaError
from orca.kit.logs import configure_logging
from orca.migrations import upgrade_apart
from orca.settings import Settings
from orca.startup.check import check_before_start

log = structlog.get_logger("orca.worker")


async def work(settings: Settings) -> None:
    """Run tasks until TERM or INT; unfinished ones are resumed by another worker or at the next start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_house(settings) as (resources, engine):
        await run_before_tasks(resources)
        await engine.start(resources, list_periodic())
        log.info("worker_started", worker=engine.executor)
        waiting = [asyncio.create_task(event.wait()) for event in (stop, engine.ended)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        await engine.stop(resources)
    if engine.ended.is_set():
        raise SystemExit(f"This worker ends: {engine.draining}")


def main() -> None:
    """Entry of `python -m orca.server.worker`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core dumps, as in `serve`
    settings = Settings()
    configure_logging(settings.log.level, settings.log.format)
    if settings.database.get_backend_name() == "sqlite":
        raise SystemExit("orc worker needs PostgreSQL (DATABASE_URL); with SQLite, orc serve runs the tasks itself.")
    try:
        check_before_start(settings)
        upgrade_apart(settings.database)
        asyncio.run(work(settings))
    except OrcaError as error:
        raise SystemExit(f"orc worker cannot start: {error.sentences}") from None


if __name__ == "__main__":
    main()
