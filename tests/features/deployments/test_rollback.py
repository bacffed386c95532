"""Going back: to other code or settings, at today's scale."""

import pytest
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_pipeline import start_tasks

from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment, Release
from orca.features.services.models import Service

pytestmark = pytest.mark.slow


async def run(bench: Bench, service: Service, request: DeploymentRequest) -> Deployment:
    ended = await bench.end_of(await bench.ask(service, request))
    assert ended.state == "succeeded", ended.reason
    return ended


async def release_of(bench: Bench, deployment: Deployment) -> Release:
    async with bench.resources.db.read() as session:
        return await session.get_one(Release, deployment.release_id)


async def test_scales_are_no_step_back_and_the_scale_of_today_stays(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await start_tasks(bench)
    async with bench.resources.db.write() as session:
        (await session.get_one(Service, service.id)).source = {"type": "image", "image": "app:2"}
    second = await release_of(bench, await run(bench, service, DeploymentRequest()))
    for replicas in (3, 0, 2):
        scaled = await run(bench, service, DeploymentRequest(kind="scale", replicas=replicas))
        assert (scaled.release_id, scaled.config["replicas"]) == (second.id, replicas)
    went = await run(bench, service, DeploymentRequest(kind="rollback"))
    assert ((await release_of(bench, went)).image, went.config["replicas"]) == ("app:1", 2)
    assert len([each for each in await bench.containers(service) if each.state == "running"]) == 2


async def test_a_release_by_its_number_keeps_the_scale_too(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await start_tasks(bench)
    await run(bench, service, DeploymentRequest(kind="scale", replicas=2))
    went = await run(bench, service, DeploymentRequest(kind="rollback", release=1))
    assert ((await release_of(bench, went)).number, went.config["replicas"]) == (1, 2)
