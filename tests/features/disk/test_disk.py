"""What is kept is shown to administrators, with the rule and the setting of each."""

from fastapi import FastAPI
from tests.attacks.people import local_client
from tests.features.deployments.bench import Bench
from tests.features.deployments.conftest import bench  # noqa: F401 - a fixture
from tests.features.deployments.test_forget import add_past
from tests.open_systems import exchange

from orca.features.deployments.models import CachedRecord
from orca.features.disk.queries import view_disk
from orca.sdk.caches import CacheRecord
from orca.sdk.testing.fake_host import FakeHost


class CachingHost(FakeHost):
    """Has a build cache that others use, too."""

    async def list_cache(self) -> list[CacheRecord]:
        return [CacheRecord("ours", 5), CacheRecord("held", 7, is_shared=True), CacheRecord("theirs", 11)]

    async def remove_cache(self, ids: object) -> None:
        raise NotImplementedError


async def test_view_disk_counts_what_is_ours(bench: Bench) -> None:  # noqa: F811
    service = await bench.make_service()
    await add_past(bench, service, range(1, 4), days=1)
    async with bench.resources.db.write() as session:
        session.add_all(CachedRecord(id=each, service_id=service.id) for each in ("ours", "held"))
    bench.resources = exchange(bench.resources, containers=CachingHost(["app:1"]))
    found = await view_disk(bench.resources)
    kept = {each.name: each for each in found.items}
    assert (kept["Deployments"].count, kept["Logs of deployments"].count) == (3, 3)
    assert (kept["Build cache of Orca's builds"].count, kept["Build cache of Orca's builds"].bytes) == (2, 5)
    assert (kept["Build cache of others"].count, kept["Build cache of others"].bytes) == (1, 11)
    assert (kept["Database"].bytes or 0) > 0
    assert not found.problems
    assert found.total_bytes > found.free_bytes > 0


async def test_show_disk_names_every_setting(app: FastAPI) -> None:
    async with local_client(app) as http:
        answer = (await http.get("/api/v1/disk")).json()
        page = await http.get("/disk")
    named = {setting for item in answer["items"] for setting in item["settings"]}
    assert {"ORC_KEEP_DEPLOYMENTS", "ORC_KEEP_DEPLOYMENT_DAYS", "ORC_KEEP_LOG_DAYS", "ORC_KEEP_TASK_DAYS"} <= named
    assert page.status_code == 200, page.text
    assert "ORC_KEEP_LOG_DAYS" in page.text
