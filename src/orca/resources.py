"""The resources of a running process, opened once and passed in, instead of globals."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database
from orca.instance.marker import find_marker
from orca.kit.clock import Clock, SystemClock
from orca.kit.crypto import BrokenKey, SecretBox, find_key, new_key
from orca.plugins import Plugins, load_plugins
from orca.sdk.containers import ContainerHost
from orca.settings import Settings
from orca.systems import LOCAL, Systems
from orca.systems.defaults import Defaults

INSTANCE_ID_LENGTH = 8
DNS_PROGRAMS = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of this instance of Orca."""

    id: str
    """A short id; the label of everything that it creates on an engine."""
    key: bytes = field(repr=False)
    proxy: str = "proxy"
    """The folder of its proxy, in the data directory."""


def derive_id(key: bytes) -> str:
    """Return the default id of an instance, derived from its key."""
    return SecretBox(key).sign("instance").replace("-", "").replace("_", "").lower()[:INSTANCE_ID_LENGTH]


def read_identity(settings: Settings) -> Identity:
    """Read the identity in the data directory, without the database; generate one if there is none yet. Blocks."""
    try:
        key = find_key(settings.data_dir / "secret.key") or new_key()
    except BrokenKey:  # a random key: callers that only inspect neither seal nor unseal
        key = new_key()
    marker = find_marker(settings.data_dir)
    return Identity(marker.id, key, marker.proxy) if marker else Identity(derive_id(key), key)


def on_system(system_id: str) -> str:
    """Return the label that a task needs which works on a system."""
    return f"system:{system_id}"


@dataclass(frozen=True, slots=True)
class PlaceInLine:
    """The place of a new task in the line of its lane."""

    team_id: str = ""
    """The team that it is for, as teams share lanes; empty for the installation itself."""
    priority: int = 0
    """`INTERACTIVE`, `PUSHED` or `PERIODIC` of `orca.tasks.lanes`: lower ones run first."""
    needs: str | None = None
    """A label that a worker must offer to run it."""
    not_before: datetime | None = None


class TaskQueue(Protocol):
    """The interface to queue durable tasks; `orca.tasks` implements it."""

    async def enqueue(
        self,
        session: AsyncSession,
        task: str,
        *,
        target: str,
        payload: Mapping[str, Any],
        place: PlaceInLine = PlaceInLine(),
    ) -> str:
        """Queue a task in the caller's transaction and return its id. Tasks of one target run one at a time."""
        ...

    async def cancel(self, session: AsyncSession, task_id: str, reason: str) -> None:
        """Ask a task to stop, in the caller's transaction. A queued one ends at once, a running one within 15 s."""
        ...


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that a request handler or a task needs of its process."""

    settings: Settings
    db: Database
    plugins: Plugins
    systems: Systems
    """The connector, engine, proxy and builders of each machine."""
    clock: Clock
    secret_box: SecretBox
    tasks: TaskQueue
    instance: str
    """Short id of this installation; the label of everything that it creates on an engine."""
    volume_turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """Locks by service id and volume: only one task at a time changes the owners of a service's volumes."""
    dns_slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DNS_PROGRAMS))
    """Limits concurrent programs for DNS providers, each of which may need 256 MiB."""
    dns_turns: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """Locks held while a DNS challenge is published: by record name, and by team and record name."""
    dns_checks: set[str] = field(default_factory=set)
    """Teams that are checking a DNS credential now."""
    terminals: dict[str, Any] = field(default_factory=dict)
    """The open terminals of this process, by id."""
    looks: Counter[str] = field(default_factory=Counter)
    """Number of sources of each team that are being inspected now."""


@asynccontextmanager
async def open_resources(
    settings: Settings, db: Database, tasks: TaskQueue, identity: Identity | None = None
) -> AsyncIterator[Resources]:
    """Open everything. Nothing is contacted yet, so the panel also starts while the engine is down.

    The default identity is the one in the data directory.
    """
    plugins = load_plugins()
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if identity is None:
        identity = await asyncio.to_thread(read_identity, settings)
    async with AsyncExitStack() as stack:
        systems = Systems(db, plugins, Defaults(settings, identity.id, identity.proxy))
        stack.push_async_callback(systems.close)
        resources = Resources(
            settings=settings,
            db=db,
            plugins=plugins,
            systems=systems,
            clock=SystemClock(),
            secret_box=SecretBox(identity.key),
            tasks=tasks,
            instance=identity.id,
        )
        yield resources


@asynccontextmanager
async def open_containers(settings: Settings, instance: str) -> AsyncIterator[ContainerHost]:
    """Open only the container host of this machine, for checks before anything else is opened."""
    systems = Systems(None, load_plugins(), Defaults(settings, instance, proxy_folder=""))
    try:
        yield await systems.containers(LOCAL)
    finally:
        await systems.close()
