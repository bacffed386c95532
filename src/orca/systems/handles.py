"""Open handles by system: opened on first use, shared by all callers, closed when idle and with the process."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from contextvars import Context
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import httpx
import structlog
from pydantic import BaseModel, ValidationError
from sqlalchemy import URL, select
from sqlalchemy.exc import SQLAlchemyError

from orca.db import DATABASE_AWAY, Database
from orca.errors import BadInput, NotFound, OrcaError, ProviderError, ProviderUnavailable, ProviderUnusable
from orca.plugins import FAMILIES, Plugins, UnusableBuilder, describe
from orca.sdk.builders import Builder
from orca.sdk.connectors import Connector, DiskUsage, SupportsAddresses, SupportsConnections, SupportsDiskUsage
from orca.sdk.containers import ContainerHost
from orca.sdk.engines import Engine
from orca.sdk.proxies import Proxy
from orca.sdk.workloads import Replica
from orca.systems.defaults import Defaults
from orca.systems.http import open_http
from orca.systems.rows import LOCAL, System

log = structlog.get_logger("orca.systems")
T = TypeVar("T")
_KINDS = ("connector", "http", "containers", "engine", "proxy", "builders")
"""In this order: a handle may use those before it, so they are closed in reverse."""
_NEEDS = {"connector": set(_KINDS) - {"connector"}, "containers": {"engine"}}
"""Kind -> those that may work through it, so that it stays open while one of them is."""
IDLE_SECONDS = 900.0
"""Longer than any call takes outside of `hold`."""


class Handle(Generic[T]):
    """One context, entered and left by a task of its own: its callers may be cancelled, and come from any task."""

    def __init__(self, open_it: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._open = open_it
        self._lock = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[T] | None = None
        self._leave = asyncio.Event()
        self.used_at = 0.0
        """When a caller last got it, by the clock of the event loop."""
        self.waiting = 0
        """How many callers wait for it to open."""

    async def get(self) -> T:
        """Return what the context gives. Concurrent callers share one opening; after an error the next call retries."""
        self.waiting += 1
        try:
            async with self._lock:
                if self._opened is None or (self._opened.done() and self._opened.exception() is not None):
                    self._opened = asyncio.get_running_loop().create_future()
                    # In a context of its own: what is opened here outlives the request or the task that asked first.
                    self._keeper = asyncio.create_task(self._keep(self._opened), context=Context())
            return await asyncio.shield(self._opened)
        finally:
            self.waiting -= 1
            self.used_at = asyncio.get_running_loop().time()

    async def close(self) -> None:
        """Leave the context, or stop entering it."""
        if self._keeper is None or self._opened is None:
            return
        self._leave.set()
        if not self._opened.done():
            self._keeper.cancel()
        (ended,) = await asyncio.gather(self._keeper, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    async def _keep(self, opened: "asyncio.Future[T]") -> None:
        try:
            async with self._open() as handle:
                opened.set_result(handle)
                await self._leave.wait()
        except BaseException as error:
            if opened.done():
                raise
            is_ended = isinstance(error, asyncio.CancelledError)
            opened.set_exception(ProviderUnavailable("Orca is stopping.") if is_ended else error)
            opened.exception()  # callers log it; all of them may have been cancelled


class Systems:
    """The handles of all systems. The row of a system is read when a handle is opened.

    Without a database there is only `local`, as the settings have it.
    """

    def __init__(
        self, db: Database | None, plugins: Plugins, defaults: Defaults, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self._db = db
        self._plugins = plugins
        self._defaults = defaults
        self._handles: dict[tuple[str, str], Handle[Any]] = {}
        self._states: dict[tuple[str, type], object] = {}
        self._known: tuple[str, ...] = (LOCAL,)
        self._is_closed = False
        self._idle_seconds = idle_seconds
        self._holds: Counter[str] = Counter()
        self._closer: asyncio.Task[None] | None = None

    async def connector(self, system_id: str) -> Connector:
        """Return the connection to a system. Raises NotFound and ProviderError."""
        return cast("Connector", await self._get("connector", system_id, self._open_connector))

    async def containers(self, system_id: str) -> ContainerHost:
        """Return the container host of a system. Raises NotFound and ProviderError."""
        return cast("ContainerHost", await self._get("containers", system_id, self._open_containers))

    async def engine(self, system_id: str) -> Engine:
        """Return the engine of a system. Raises NotFound and ProviderError."""
        return cast("Engine", await self._get("engine", system_id, self._open_engine))

    async def proxy(self, system_id: str) -> Proxy:
        """Return the proxy of a system. Raises NotFound and ProviderError."""
        return cast("Proxy", await self._get("proxy", system_id, self._open_proxy))

    async def builders(self, system_id: str) -> Mapping[str, Builder]:
        """Return the builders that make images on a system's engine, in the order of detection.

        Those that cannot be used are last, as `UnusableBuilder`.
        """
        return cast("Mapping[str, Builder]", await self._get("builders", system_id, self._open_builders))

    async def http(self, system_id: str) -> httpx.AsyncClient:
        """Return the client for plain HTTP to containers of a system."""
        return cast("httpx.AsyncClient", await self._get("http", system_id, self._open_http))

    async def open_connection(
        self, system_id: str, host: str, port: int, *, limit: int = 1 << 16
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a TCP connection from a system. Raises OSError and ProviderUnavailable."""
        connector = await self.connector(system_id)
        if not isinstance(connector, SupportsConnections):
            raise ProviderUnavailable(f"The connector of the system “{system_id}” opens no connections.")
        return await connector.open_connection(host, port, limit=limit)

    async def survey(self, system_id: str, labels: Mapping[str, str], *, runs: bool = False) -> list[Replica]:
        """List the replicas on a system with these labels, by the cheapest query; `runs`: also what runs once."""
        return await (await self.engine(system_id)).survey(labels, runs=runs)

    async def measure_disk(self, system_id: str, path: str) -> DiskUsage | None:
        """Measure the disk that a path of a system is on; None where there is no such path, or it is not known."""
        connector = await self.connector(system_id)
        return await connector.measure_disk(path) if isinstance(connector, SupportsDiskUsage) else None

    async def list_addresses(self, system_id: str) -> list[str]:
        """Return the IP addresses of a system, as far as they are known."""
        connector = await self.connector(system_id)
        return await connector.list_addresses() if isinstance(connector, SupportsAddresses) else []

    async def list_unusable(self, system_id: str) -> list[ProviderUnusable]:
        """Return why providers that a system needs cannot be used, each reason once. A system that is down has none."""
        found: dict[str, ProviderUnusable] = {}
        for open_it in (self.connector, self.engine, self.proxy, self.builders):
            try:
                opened = await open_it(system_id)
            except ProviderUnusable as error:
                found[error.message] = error
            except OrcaError:
                continue
            else:
                builders = opened.values() if isinstance(opened, Mapping) else ()
                found |= {
                    builder.problem.message: builder.problem
                    for builder in builders
                    if isinstance(builder, UnusableBuilder)
                }
        return list(found.values())

    async def list_ids(self) -> Sequence[str]:
        """Return the ids of all systems, `local` first; those known before while the database cannot be read."""
        if self._db is None or not has_started(self._db.url):
            return self._known
        try:
            async with self._db.read() as session:
                found = (await session.scalars(select(System.id).order_by(System.id))).all()
        except DATABASE_AWAY as error:  # an engine can be observed without it
            log.warning("systems_not_listed", reason=type(error).__name__)
            return self._known
        self._known = (LOCAL, *(needed for needed in found if needed != LOCAL))
        return self._known

    async def on_each(self, act: Callable[[str], Awaitable[T]]) -> dict[str, T]:
        """Do something on every system at once; return the results by system.

        A system that cannot be reached does not stop the work on the others: the failure is logged, and the system is
        missing in the result. A failure of `local` is raised, after the others.
        """
        found, failed = await self.try_each(act)
        if LOCAL in failed:
            raise failed[LOCAL]
        return found

    async def try_each(self, act: Callable[[str], Awaitable[T]]) -> tuple[dict[str, T], dict[str, OrcaError]]:
        """Do something on every system at once; return results and failures by system. Those of others are logged."""
        ids = await self.list_ids()
        ended = await asyncio.gather(*(act(id_) for id_ in ids), return_exceptions=True)
        found: dict[str, T] = {}
        failed: dict[str, OrcaError] = {}
        for system_id, result in zip(ids, ended, strict=True):
            if isinstance(result, OrcaError) and (system_id == LOCAL or isinstance(result, ProviderError | BadInput)):
                failed[system_id] = result
                if system_id != LOCAL:
                    log.warning("system_failed", system=system_id, reason=result.message)
            elif isinstance(result, BaseException):
                raise result
            else:
                found[system_id] = result
        return found, failed

    def state(self, system_id: str, kind: type[T]) -> T:
        """Return what this process keeps of one kind about a system; made on first use."""
        return cast("T", self._states.setdefault((system_id, kind), kind()))

    @contextmanager
    def hold(self, system_id: str) -> Iterator[None]:
        """Keep the handles of a system open: for work that may use one for longer than it takes to be idle."""
        self._holds[system_id] += 1
        try:
            yield
        finally:
            self._holds[system_id] -= 1
            for (_, owner), handle in self._handles.items():
                if owner == system_id:
                    handle.used_at = asyncio.get_running_loop().time()

    async def hold_during(self, system_id: str, items: AsyncGenerator[T, None]) -> AsyncIterator[T]:
        """Yield the items of a stream that comes from a system; its handles stay open until the stream ends."""
        with self.hold(system_id):
            async with aclosing(items):
                async for item in items:
                    yield item

    async def close(self) -> None:
        """Close every handle, those that use others first. An error stops none of them; the first one is raised."""
        self._is_closed = True
        if self._closer is not None:
            self._closer.cancel()
            await asyncio.gather(self._closer, return_exceptions=True)
        async with AsyncExitStack() as stack:
            for wanted in _KINDS:
                for (kind, _), handle in self._handles.items():
                    if kind == wanted:
                        stack.push_async_callback(handle.close)

    async def _get(
        self, kind: str, system_id: str, open_it: Callable[[str], AbstractAsyncContextManager[object]]
    ) -> object:
        if self._is_closed:
            raise ProviderUnavailable("Orca is stopping.")
        key = (kind, system_id)
        if key not in self._handles:
            self._handles[key] = Handle(lambda: open_it(system_id))
            if self._closer is None or self._closer.done():
                self._closer = asyncio.create_task(self._close_idle(), context=Context())
        return await self._handles[key].get()

    async def _close_idle(self) -> None:
        """Close what was not asked for in a while, until nothing is open. The next use opens it again."""
        while self._handles:
            await asyncio.sleep(self._idle_seconds / 4)
            for kind, system_id in sorted(self._handles, key=lambda key: _KINDS.index(key[0]), reverse=True):
                if self._is_idle(kind, system_id):
                    handle = self._handles.pop((kind, system_id))
                    try:
                        await handle.close()
                    except Exception as error:  # noqa: BLE001 - the others are closed all the same
                        log.warning("handle_not_closed", kind=kind, system=system_id, reason=str(error))

    def _is_idle(self, kind: str, system_id: str) -> bool:
        is_needed = any((needed, system_id) in self._handles for needed in _NEEDS.get(kind, ()))
        handle = self._handles[kind, system_id]
        age = asyncio.get_running_loop().time() - handle.used_at
        return age >= self._idle_seconds and not (handle.waiting or self._holds[system_id] or is_needed)

    @asynccontextmanager
    async def _open_connector(self, system_id: str) -> Any:
        row = await self._get_row(system_id)
        async with self._open("connectors", row.connector or "local", row, {}) as connector:
            yield connector

    @asynccontextmanager
    async def _open_http(self, system_id: str) -> Any:
        async with open_http(await self.connector(system_id)) as client:
            yield client

    @asynccontextmanager
    async def _open_containers(self, system_id: str) -> Any:
        row = await self._get_row(system_id)
        name = self._plugins.choose_host(row.engine or self._defaults.engine_name)
        known, connector = self._defaults.engine(system_id), await self.connector(system_id)
        async with self._open("containers", name, row, known, connector) as host:
            yield host

    @asynccontextmanager
    async def _open_engine(self, system_id: str) -> Any:
        row = await self._get_row(system_id)
        name, known = row.engine or self._defaults.engine_name, self._defaults.engine(system_id)
        self._plugins.choose("engines", name)  # before its host: of two that are missing this one is named
        host = await self.containers(system_id) if self._plugins.find_host(name) else None
        async with self._open("engines", name, row, known, await self.connector(system_id), host) as engine:
            yield engine

    @asynccontextmanager
    async def _open_proxy(self, system_id: str) -> Any:
        row = await self._get_row(system_id)
        name, known = row.proxy or self._defaults.proxy_name, self._defaults.proxy(system_id, row.engine_config)
        async with self._open("proxies", name, row, known, await self.connector(system_id)) as proxy:
            yield proxy

    @asynccontextmanager
    async def _open_builders(self, system_id: str) -> Any:
        """Builders reach the builder of the system's engine, so they take from its configuration where that is."""
        row = await self._get_row(system_id)
        connector, known = await self.connector(system_id), self._defaults.builder(system_id, row.engine_config)
        opened: dict[str, Builder] = {}
        unused = [left_out for left_out in self._plugins.unused if left_out.family == "builders"]
        unusable: dict[str, Builder] = {left_out.name: UnusableBuilder(left_out.as_error()) for left_out in unused}
        async with AsyncExitStack() as stack:
            for name, _ in sorted(self._plugins.builders.items(), key=lambda item: item[1].order):
                try:
                    opened[name] = await stack.enter_async_context(self._open("builders", name, row, known, connector))
                except ProviderUnusable as error:
                    unusable[name] = UnusableBuilder(error)
            yield opened | {name: builder for name, builder in unusable.items() if name not in opened}

    @asynccontextmanager
    async def _open(
        self, family: str, name: str, row: System, known: Mapping[str, object], *arguments: object
    ) -> AsyncGenerator[Any, None]:
        """Open a provider with its configuration. Raises ProviderUnusable, as it may come from a plugin and fail."""
        provider = self._plugins.choose(family, name)
        async with AsyncExitStack() as stack:
            try:
                config = _configure(row, family, name, provider, known)
                handle = await stack.enter_async_context(provider().open(config, *arguments))
            except OrcaError:
                raise
            except Exception as error:
                raise ProviderUnusable(
                    f"The {FAMILIES[family]} “{name}” of the system “{row.name}” cannot be opened ({describe(error)}).",
                    hint="Report it to the author of the provider; another version of it may do.",
                ) from error
            yield handle

    async def _get_row(self, system_id: str) -> System:
        """Return the row of a system. For `local`, the defaults do while there is no database yet, or none to read."""
        try:
            row = await self._find_row(system_id)
        except (SQLAlchemyError, OrcaError, OSError) as error:
            if system_id != LOCAL:
                raise
            log.warning("system_not_read", system=system_id, reason=type(error).__name__)
            row = None
        if row is None and system_id != LOCAL:
            raise NotFound(f"there is no system “{system_id}”")
        return row or System(
            id=LOCAL, name=LOCAL, connector="", connector_config={}, engine="", engine_config={}, proxy="",
            proxy_config={},
        )  # fmt: skip

    async def _find_row(self, system_id: str) -> System | None:
        if self._db is None or not has_started(self._db.url):
            return None
        async with self._db.read() as session:
            return await session.get(System, system_id)


def has_started(url: URL) -> bool:
    """Whether the database may have tables: to look into an SQLite file that does not exist would create it."""
    return url.get_backend_name() != "sqlite" or not url.database or Path(url.database).exists()


def _configure(row: System, family: str, name: str, provider: Any, known: Mapping[str, object]) -> BaseModel:
    """Return the configuration of a provider: the known defaults of the fields that it has, overridden by the row."""
    own = {"connectors": row.connector_config, "proxies": row.proxy_config, "builders": {}}
    given: Mapping[str, object] = own.get(family, row.engine_config)
    fields = provider.Config.model_fields.keys()
    values = {name: value for name, value in known.items() if name in fields} | dict(given)
    try:
        return cast("BaseModel", provider.Config(**values))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        which = f"The {FAMILIES[family]} “{name}” of the system “{row.name}”"
        raise ProviderUnusable(
            f"{which} is not configured well: {where}: {first['msg']}.",
            hint="Correct it in the settings of Orca, or in the configuration of the system; then restart Orca.",
        ) from None
