"""`orc serve`: the panel on TCP and, for the command line of the same user, on a private unix socket."""

import gc

if __name__ == "__main__":
    gc.disable()  # collecting during imports frees nothing and takes an eighth of the start; `serve` enables it

import asyncio
import fcntl
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import structlog
import uvicorn
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from orca.app import create_app
from orca.errors import OrcaError
from orca.kit.logs import configure_logging
from orca.kit.validation import explain
from orca.migrations import upgrade_apart
from orca.server.connections import Caps, Connection, Connections, RateLimitedLogFilter, raise_file_limit
from orca.settings import Settings
from orca.startup.check import StartChoice, check_before_start, establish
from orca.tasks import TaskEngine

log = structlog.get_logger("orca.serve")
DRAIN_SECONDS = 5
_NOTICE_SECONDS = 10
_ACCEPTED_AT_ONCE = 16
"""Connections that asyncio accepts in one step, before any of them is counted."""
_SOCKET_MESSAGE = 64 << 10
"""Largest message of a WebSocket, in bytes."""
_QUEUE = 1024
"""Backlog: connections that wait in the kernel meanwhile."""

_LOCAL_CAPS = Caps(total=128, each_peer=128)
"""Limits of the unix socket: programs of the same user may also forget to read or to close."""


class FromSocket:
    """Marks requests through the unix socket, which only this user can open."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with the mark."""
        if scope["type"] != "lifespan":
            scope["orca.local"] = True
        await self.app(scope, receive, send)


class _Server(uvicorn.Server):
    """A uvicorn server without signal handlers: `serve` runs two in one loop, and handles signals itself."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen. asyncio has only one parameter for the kernel's backlog and for the accepts per step."""
        await super().startup(sockets)
        for listener in (bound for server in self.servers for bound in server.sockets):
            with listener.dup() as same:
                same.listen(_QUEUE)


async def serve(settings: Settings) -> None:
    """Serve until TERM or INT. The app's lifespan runs once, with the TCP server."""
    app = create_app(settings)
    strangers = Connections(Caps.within(raise_file_limit()), trusted=settings.trusted_proxies)
    panel = _Server(_config(app, settings, lifespan="on", http=partial(Connection, connections=strangers)))
    panel.config.load()
    own = Connections(_LOCAL_CAPS)
    local = _Server(_config(FromSocket(app), settings, lifespan="off", http=partial(Connection, connections=own)))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, panel.handle_exit, number, None)
    listener = _listen_privately(settings.data_dir / "orc.sock")
    running = asyncio.create_task(panel.serve())
    try:
        while not panel.started and not running.done():  # noqa: ASYNC110 - uvicorn has a flag, not an event
            await asyncio.sleep(0.02)
        if running.done():
            raise SystemExit("Orca could not start; the reason is in the log above.")
        log.info("panel_started", url=settings.panel_url)
        # Objects of the start-up are permanent; collecting them once would block responses for 0.2 s and free nothing.
        gc.freeze()
        gc.enable()
        locally = asyncio.create_task(local.serve(sockets=[listener]))
        engine: TaskEngine = app.state.task_engine
        leaving = asyncio.create_task(_leave_when_ended(engine, panel))
        await running
        leaving.cancel()
        local.should_exit = True
        await locally
    finally:
        running.cancel()
        listener.close()
        (settings.data_dir / "orc.sock").unlink(missing_ok=True)
    if engine.ended.is_set():
        raise SystemExit(f"Orca ends: {engine.draining}")


async def _leave_when_ended(engine: TaskEngine, panel: uvicorn.Server) -> None:
    """Continue to serve for a moment, so that load balancers see in `/api/health/ready` that this process ends."""
    await engine.ended.wait()
    await asyncio.sleep(_NOTICE_SECONDS)
    panel.handle_exit(signal.SIGTERM, None)


def _config(app: ASGIApp, settings: Settings, *, lifespan: str, http: object) -> uvicorn.Config:
    return uvicorn.Config(
        app, host=settings.host, port=settings.port, lifespan=lifespan, log_config=None, access_log=False,  # type: ignore[arg-type]  # uvicorn names its literals
        server_header=False, date_header=True, proxy_headers=False, timeout_graceful_shutdown=DRAIN_SECONDS,
        h11_max_incomplete_event_size=64 << 10, http=http, backlog=_ACCEPTED_AT_ONCE,  # type: ignore[arg-type]  # it only calls it
        ws="websockets-sansio", ws_max_size=_SOCKET_MESSAGE, ws_per_message_deflate=False,
    )  # fmt: skip


def _listen_privately(path: Path) -> socket.socket:
    """Create a unix socket with mode 0600 from the start."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(previous)
    listener.listen(64)
    return listener


@contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Refuse a second process on the same SQLite database: both would resume the same tasks."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (data_dir / "orca.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"Orca already runs on {data_dir}. Stop it first, or set ORC_DATA_DIR.") from None
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def main() -> None:
    """Entry of `python -m orca.server.serve`."""
    try:
        settings = Settings()
    except ValidationError as error:
        reasons = "\n".join(f"  {'.'.join(map(str, problem['loc']))}: {explain(problem)}" for problem in error.errors())
        raise SystemExit(f"Orca cannot start with these settings:\n{reasons}") from None
    configure_logging(settings.log.level, settings.log.format)
    for name in RateLimitedLogFilter.loggers:
        logging.getLogger(name).addFilter(RateLimitedLogFilter())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core dumps, as memory has keys; inherited by children
    os.umask(0o022)  # files of a source tree keep their modes in the image; private files are created with mode 0600
    choice = StartChoice(new_instance="--new-instance" in sys.argv[1:])
    try:
        with only_one(settings.data_dir):
            check_before_start(settings, choice)
            upgrade_apart(settings.database)
            if choice.new_instance:
                asyncio.run(establish(settings, choice))
            asyncio.run(serve(settings))
    except OrcaError as error:
        raise SystemExit(f"Orca cannot start: {error.sentences}") from None


if __name__ == "__main__":
    main()
