"""The build cache of our own builds, on an engine that others may use too: its records are stored by id and pruned."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import OrcaError
from orca.features.deployments.models import CachedRecord
from orca.features.services.models import Service
from orca.resources import Resources
from orca.sdk.caches import CacheRecord, CacheWatch, SupportsBuildCache, choose_records
from orca.sdk.containers import ContainerHost

log = structlog.get_logger("orca.deployments")
_LOOK_SECONDS = 5.0
"""Old engines also measure their volumes for this query. The start and the cancellation of a build wait no longer."""


@asynccontextmanager
async def remember_cache(resources: Resources, system_id: str, service_id: str) -> AsyncIterator[None]:
    """Store the cache records that appear while this build of a service runs, unless others build at the same time."""
    watch, host = resources.systems.state(system_id, CacheWatch), await resources.systems.containers(system_id)
    async with watch.lock:
        mine = watch.begin(await _look(host))
    try:
        await _claim(resources, system_id, service_id, mine)
        yield
    finally:
        await _claim(resources, system_id, service_id, await _end(watch, host))


async def _end(watch: CacheWatch, host: ContainerHost) -> list[str]:
    """End the watch, also when this build is cancelled here: otherwise the watch would count it as running for ever."""
    records = None
    try:
        async with watch.lock:
            records = await _look(host)
    finally:
        mine = watch.end(records)
    return mine


async def _look(host: ContainerHost) -> list[CacheRecord] | None:
    """List the engine's cache records; None when the engine has no such query, fails, or does not answer in time."""
    if not isinstance(host, SupportsBuildCache):
        return None
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            return await host.list_cache()
    except Exception as error:  # noqa: BLE001 - whatever it is, the build is well without
        log.warning("build_cache_not_looked_at", reason=str(error))
        return None


async def _claim(resources: Resources, system_id: str, service_id: str, ids: Sequence[str]) -> None:
    if not ids:
        return
    try:
        async with resources.db.write() as session:
            known = set(await session.scalars(select(CachedRecord.id).where(CachedRecord.id.in_(ids))))
            session.add_all(
                CachedRecord(id=id_, service_id=service_id, system_id=system_id) for id_ in ids if id_ not in known
            )
    except (SQLAlchemyError, OrcaError) as error:  # claimed by another process, or no database: not fatal
        log.warning("build_cache_not_claimed", reason=type(error).__name__)


async def trim_build_cache(resources: Resources) -> None:
    """Remove the least recently used records of ours above the budget of a system, and those of deleted services."""
    await resources.systems.on_each(partial(_trim, resources))


async def _trim(resources: Resources, system_id: str) -> None:
    async with resources.db.read() as session:
        known = await list_ours(session, system_id)
    host = await resources.systems.containers(system_id) if known else None
    if not isinstance(host, SupportsBuildCache):
        return
    records = await host.list_cache()
    budget = resources.settings.disk.cache_budget_mb << 20
    chosen = choose_records(records, known, budget)
    left = records
    if chosen:
        await host.remove_cache(chosen)
        left = await host.list_cache()
        freed = measure(records, known) - measure(left, known)
        log.info("build_cache_trimmed", records=len(chosen), freed_bytes=freed)
    gone = sorted(known.keys() - {record.id for record in left})
    async with resources.db.write() as session:
        await session.execute(delete(CachedRecord).where(CachedRecord.id.in_(gone)))


async def list_ours(session: AsyncSession, system_id: str) -> dict[str, bool]:
    """Map the id of each of our records on a system to whether its service still exists."""
    query = select(CachedRecord.id, Service.deleted_at).join(Service, Service.id == CachedRecord.service_id)
    found = await session.execute(query.where(CachedRecord.system_id == system_id))
    return {row.id: row.deleted_at is None for row in found}


def measure(records: Sequence[CacheRecord], ours: dict[str, bool]) -> int:
    """Return the bytes that removing our records would free; what an image also uses is not counted."""
    return sum(record.size_bytes for record in records if record.id in ours and not record.is_shared)
