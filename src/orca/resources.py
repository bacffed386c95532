"""What a running process holds, opened once and passed in: no globals."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database
from orca.instance.marker import find_marker
from orca.kit.clock import Clock, SystemClock
from orca.kit.crypto import BrokenKey, SecretBox, find_key, new_key
from orca.plugins import Plugins, choose, load_plugins
from orca.sdk.builders import Builder
from orca.sdk.connectors import Connector
from orca.sdk.engines import Engine
from orca.sdk.proxies import Proxy
from orca.settings import Settings

INSTANCE_ID_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Identity:
    """Which Orca this process is."""

    id: str
    """Short; labels everything it makes on an engine."""
    key: bytes = field(repr=False)
    proxy: str = "proxy"
    """The folder of its proxy, below the data directory."""


def derive_id(key: bytes) -> str:
    """The id of an instance for which nothing else was decided."""
    return SecretBox(key).sign("instance").replace("-", "").replace("_", "").lower()[:INSTANCE_ID_LENGTH]


def read_identity(settings: Settings) -> Identity:
    """What the data directory says, without a look at the database; made up where it says nothing yet. Blocks."""
    try:
        key = find_key(settings.data_dir / "secret.key") or new_key()
    except BrokenKey:  # nothing is sealed or opened by those who only look
        key = new_key()
    marker = find_marker(settings.data_dir)
    return Identity(marker.id, key, marker.proxy) if marker else Identity(derive_id(key), key)


class TaskQueue(Protocol):
    """Where durable tasks are put; `orca.tasks` implements it."""

    async def enqueue(self, session: AsyncSession, task: str, *, target: str, payload: Mapping[str, Any]) -> str:
        """Queue a task in the caller's transaction and give its id. Tasks of one target run one at a time."""
        ...

    async def cancel(self, session: AsyncSession, task_id: str, reason: str) -> None:
        """Ask a task to stop, in the caller's transaction. A queued one ends at once, a running one within 15 s."""
        ...


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything a door or a task may need of its process."""

    settings: Settings
    db: Database
    plugins: Plugins
    connector: Connector
    engine: Engine
    proxy: Proxy
    builders: Mapping[str, Builder]
    """In the order in which detection asks them."""
    http: httpx.AsyncClient
    clock: Clock
    secret_box: SecretBox
    tasks: TaskQueue
    instance: str
    """Short id of this installation; labels everything it makes on an engine."""
    build_slots: asyncio.Semaphore
    """How many builds may still begin on this machine."""
    looks: Counter[str] = field(default_factory=Counter)
    """How many sources of each team are being looked at now."""


@asynccontextmanager
async def open_resources(
    settings: Settings, db: Database, tasks: TaskQueue, identity: Identity | None = None
) -> AsyncIterator[Resources]:
    """Open everything; nothing is contacted yet, so a machine whose engine is down still gets its panel.

    Without an identity it is what the data directory says.
    """
    plugins = load_plugins()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if identity is None:
        identity = await asyncio.to_thread(read_identity, settings)
    async with AsyncExitStack() as stack:
        connect = choose(plugins.connectors, "local", what="connector")()
        connector = await stack.enter_async_context(connect.open(connect.Config()))
        engines = choose(plugins.engines, "docker", what="engine")()
        proxies = choose(plugins.proxies, settings.proxy.name, what="proxy")()
        resources = Resources(
            settings=settings,
            db=db,
            plugins=plugins,
            connector=connector,
            engine=await stack.enter_async_context(
                engines.open(_engine_config(settings, engines, identity.id), connector)
            ),
            proxy=await stack.enter_async_context(proxies.open(_proxy_config(settings, proxies, identity), connector)),
            builders=await _open_builders(stack, settings, plugins, connector),
            http=await stack.enter_async_context(httpx.AsyncClient(timeout=10, trust_env=False, verify=_no_tls())),
            clock=SystemClock(),
            secret_box=SecretBox(identity.key),
            tasks=tasks,
            instance=identity.id,
            build_slots=asyncio.Semaphore(settings.build.concurrency),
        )
        db.session_info["resources"] = resources
        yield resources


@asynccontextmanager
async def open_engine(settings: Settings, instance: str) -> AsyncIterator[Engine]:
    """The engine alone, for a look before anything else is opened."""
    plugins = load_plugins()
    connect = choose(plugins.connectors, "local", what="connector")()
    engines = choose(plugins.engines, "docker", what="engine")()
    async with (
        connect.open(connect.Config()) as connector,
        engines.open(_engine_config(settings, engines, instance), connector) as engine,
    ):
        yield engine


def _no_tls() -> ssl.SSLContext:
    """Containers are asked over plain HTTP; reading the machine's root certificates would cost three megabytes."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _engine_config(settings: Settings, provider: Any, instance: str) -> Any:
    known = {"private_registries": settings.registry.private_networks}
    extra = {name: known[name] for name in known.keys() & provider.Config.model_fields.keys()}
    return provider.Config(host=settings.docker.host, address_pool=settings.docker.pool, instance=instance, **extra)


def _proxy_config(settings: Settings, provider: Any, identity: Identity) -> Any:
    proxy = settings.proxy
    return provider.Config(
        data_dir=settings.data_dir / identity.proxy, http_port=proxy.http_port, https_port=proxy.https_port,
        bind=proxy.bind, instance=identity.id, mode=proxy.mode, docker_host=settings.docker.host,
        trusted_proxies=proxy.trusted_proxies, proxy_protocol=proxy.protocol == "on",
        default_hostname=proxy.default_hostname,
    )  # fmt: skip


def _builder_config(settings: Settings, provider: Any) -> Any:
    """A builder that needs no engine has no word for one."""
    known = {
        "host": settings.docker.host, "disk_reserve_mb": settings.disk.reserve_mb,
        "private_registries": settings.registry.private_networks,
    }  # fmt: skip
    return provider.Config(**{name: known[name] for name in known.keys() & provider.Config.model_fields.keys()})


async def _open_builders(
    stack: AsyncExitStack, settings: Settings, plugins: Plugins, connector: Connector
) -> dict[str, Builder]:
    providers = sorted((provider() for provider in plugins.builders.values()), key=lambda each: each.order)
    return {
        provider.name: await stack.enter_async_context(provider.open(_builder_config(settings, provider), connector))
        for provider in providers
    }
