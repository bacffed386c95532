"""Looks at systems: each is asked by its own connector and engine, and what does not answer is said of it alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import now
from orca.errors import NotFound, OrcaError
from orca.features.systems.schemas import Disk, SystemOut, UnusedProvider
from orca.kit.text import join
from orca.resources import Resources
from orca.sdk.containers import HostInfo
from orca.systems import LOCAL, System

DEADLINE = 8.0
AT_ONCE = 20


@dataclass(frozen=True, slots=True)
class SystemInspection:
    """What one look found. `reason` is empty when the system answered."""

    checked_at: datetime
    reason: str
    info: HostInfo | None
    addresses: Sequence[str]
    disks: Sequence[Disk]
    problems: Sequence[str]


@dataclass(slots=True)
class LastInspection:
    """What this process has seen of one system."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    look: SystemInspection | None = None
    since: datetime | None = None
    """When its present state was first seen."""
    kept_for: timedelta = timedelta(seconds=5)
    """For how long a look counts: pages and commands ask several times in a row."""


async def list_systems(session: AsyncSession) -> Sequence[System]:
    """All systems, `local` first."""
    rows = (await session.scalars(select(System).order_by(System.name, System.id))).all()
    return sorted(rows, key=lambda system: system.id != LOCAL)


async def get_system(session: AsyncSession, system_id: str) -> System:
    """Return a system. Raises NotFound."""
    system = await session.get(System, system_id)
    if system is None:
        raise NotFound("there is no system with this id")
    return system


async def view_systems(resources: Resources) -> list[SystemOut]:
    """Look at all systems at once, and return what was seen of each."""
    async with resources.db.read() as session:
        systems = await list_systems(session)
    slots = asyncio.Semaphore(AT_ONCE)

    async def view(system: System) -> SystemOut:
        async with slots:
            return await _view(resources, system)

    return list(await asyncio.gather(*map(view, systems)))


async def view_system(resources: Resources, system_id: str) -> SystemOut:
    """Look at one system. Raises NotFound."""
    async with resources.db.read() as session:
        system = await get_system(session, system_id)
    return await _view(resources, system)


def list_unused_providers(resources: Resources) -> list[UnusedProvider]:
    """List what is installed and not used, on whatever system."""
    return [
        UnusedProvider(
            family=unused.family, name=unused.name, package=unused.package, reason=unused.message, remedy=unused.remedy
        )
        for unused in resources.plugins.unused
    ]


async def _view(resources: Resources, system: System) -> SystemOut:
    seen = resources.systems.state(system.id, LastInspection)
    async with seen.turn:  # callers that come together share one look
        if seen.look is None or now() - seen.look.checked_at > seen.kept_for:
            look = await _look_at(resources, system.id)
            if seen.look is None or bool(seen.look.reason) != bool(look.reason):
                seen.since = look.checked_at
            seen.look = look
        look, since = seen.look, seen.since
    info = look.info
    settings = resources.settings
    return SystemOut(
        id=system.id, name=system.name, connector=system.connector or "local",
        engine=system.engine or settings.engine.name, proxy=system.proxy or settings.proxy.name,
        state="unreachable" if look.reason else "reachable", reason=look.reason, problems=list(look.problems),
        since=since or look.checked_at, checked_at=look.checked_at,
        engine_version=info.version if info else "", architecture=info.architecture if info else "",
        cpus=info.cpus if info else None, memory_bytes=info.memory_bytes if info else None,
        addresses=list(look.addresses), disks=list(look.disks),
    )  # fmt: skip


async def _look_at(resources: Resources, system_id: str) -> SystemInspection:
    """Ask the engine, then the connector. What answered is kept when the rest does not."""
    info: HostInfo | None = None
    addresses: list[str] = []
    disks: list[Disk] = []
    problems: list[str] = []
    reason = ""
    try:
        async with asyncio.timeout(DEADLINE):
            unusable = await resources.systems.list_unusable(system_id)
            problems = [join(provider.message, provider.hint) for provider in unusable]
            addresses = sorted(await resources.systems.list_addresses(system_id), key=_by_use)
            if system_id == LOCAL:
                disks += await _measure(resources, system_id, str(resources.settings.data_dir))
            info = await (await resources.systems.containers(system_id)).info()
            disks = [*await _measure(resources, system_id, info.data_root), *disks]
    except TimeoutError:
        reason = f"It did not answer within {DEADLINE:g} seconds."
    except OrcaError as error:
        reason = join(error.message, error.hint)
    return SystemInspection(now(), reason, info, addresses, disks, problems)


def _by_use(address: str) -> tuple[bool, int, str]:
    """Sort addresses by which others reach a machine before those of its own use, and IPv4 before IPv6."""
    parsed = ip_address(address)
    return parsed.is_loopback or parsed.is_link_local, parsed.version, address


async def _measure(resources: Resources, system_id: str, path: str) -> list[Disk]:
    usage = await resources.systems.measure_disk(system_id, path)
    return [Disk(path=path, total_bytes=usage.total, free_bytes=usage.free)] if usage else []
