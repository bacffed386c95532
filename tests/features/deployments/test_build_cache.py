"""The build cache of our own builds is remembered by id, and only that is ever removed."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import select
from tests.features.deployments.bench import Bench, TroubledHost
from tests.open_systems import exchange

from orca.db import now
from orca.errors import ProviderUnavailable
from orca.features.deployments.models import CachedRecord
from orca.features.deployments.operations.cache import remember_cache, trim_build_cache
from orca.sdk.caches import CacheRecord
from orca.settings import DiskSettings

MIB = 1 << 20
FOREIGN = CacheRecord("foreign", 9 * MIB)


class CachingHost(TroubledHost):
    """Its build cache is a list; `None` while it does not answer."""

    cache: list[CacheRecord] | None

    async def list_cache(self) -> list[CacheRecord]:
        if self.cache is None:
            raise ProviderUnavailable("it is busy")
        return list(self.cache)

    async def remove_cache(self, ids: Sequence[str]) -> None:
        self.cache = [each for each in self.cache or () if each.id not in ids]


@pytest.fixture
def host(bench: Bench) -> CachingHost:
    host = CachingHost(["app:1"])
    host.cache = [FOREIGN]
    settings = bench.resources.settings.model_copy(update={"disk": DiskSettings(cache_budget_mb=4)})
    bench.resources = replace(exchange(bench.resources, containers=host), settings=settings)
    return host


async def remembered(bench: Bench) -> list[str]:
    async with bench.resources.db.read() as session:
        return list(await session.scalars(select(CachedRecord.id).order_by(CachedRecord.id)))


async def build(bench: Bench, host: CachingHost, service_id: str, *names: str) -> None:
    async with remember_cache(bench.resources, "local", service_id):
        assert host.cache is not None
        host.cache += [CacheRecord(name, 3 * MIB, last_used=float(len(host.cache))) for name in names]


async def test_trim_build_cache_removes_the_least_recently_used_of_ours(bench: Bench, host: CachingHost) -> None:
    service = await bench.make_service()
    await build(bench, host, service.id, "a")
    host.cache = [*host.cache, CacheRecord("foreign-2", 9 * MIB)]  # type: ignore[misc] # it is a list here
    await build(bench, host, service.id, "b")
    assert await remembered(bench) == ["a", "b"]
    await trim_build_cache(bench.resources)
    assert [each.id for each in host.cache or ()] == ["foreign", "foreign-2", "b"]
    assert await remembered(bench) == ["b"], "what is gone is forgotten"


async def test_trim_build_cache_of_a_deleted_service_removes_all(bench: Bench, host: CachingHost) -> None:
    service = await bench.make_service()
    await build(bench, host, service.id, "a")
    await bench.edit(service, deleted_at=now())
    await trim_build_cache(bench.resources)
    assert host.cache == [FOREIGN]


async def test_remember_cache_of_a_failed_build(bench: Bench, host: CachingHost) -> None:
    service = await bench.make_service()
    with pytest.raises(ProviderUnavailable):
        async with remember_cache(bench.resources, "local", service.id):
            host.cache = [FOREIGN, CacheRecord("half", MIB)]
            raise ProviderUnavailable("it ended")
    assert await remembered(bench) == ["half"]


async def test_remember_cache_an_engine_that_cannot_tell_holds_up_no_build(bench: Bench, host: CachingHost) -> None:
    service = await bench.make_service()
    host.cache = None
    async with remember_cache(bench.resources, "local", service.id):
        host.cache = [FOREIGN, CacheRecord("whose", MIB)]
    assert await remembered(bench) == []
