"""What a deployment does happens on behalf of the one who asked for it, with what they might do at that time."""

import pytest
from sqlalchemy import select
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_frozen import Imager, send
from tests.features.deployments.test_pipeline import start_tasks

from orca.errors import Forbidden
from orca.events import Event, Origin, origin
from orca.features.access.permissions import all_roles
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.routing.models import Route
from orca.features.services.models import Service, Volume

pytestmark = pytest.mark.slow
OF_A_MEMBER = all_roles()["member"]
FILES = {
    "route.create": "domains: [shop.example.org]",
    "volume.create": "volumes: [{name: data, path: /data}]",
    "variable.write": "variables: {LEVEL: debug}",
    "service.update": "resources: {memory_mb: 512}",
}


async def deploy_as(bench: Bench, service: Service, by: Origin, request: DeploymentRequest | None = None) -> str:
    token = origin.set(by)
    try:
        return await bench.ask(service, request or DeploymentRequest())
    finally:
        origin.reset(token)


async def prepare(bench: Bench, orca_file: str) -> Service:
    service, _ = await bench.make_service(), Imager(bench)
    await send(bench, service, {"Dockerfile": "FROM scratch\n", "orca.yaml": orca_file})
    await start_tasks(bench)
    return service


@pytest.mark.parametrize("permission", FILES)
async def test_what_orca_yaml_asks_for_needs_the_permission_of_the_one_who_deploys(
    bench: Bench, permission: str
) -> None:
    service = await prepare(bench, FILES[permission])
    by = Origin("ci@example.org", "token", permissions=OF_A_MEMBER - {permission})
    failed = await bench.end_of(await deploy_as(bench, service, by))
    assert (failed.state, failed.code) == ("failed", "forbidden")
    assert permission in failed.reason
    assert "ci@example.org" in failed.reason
    async with bench.resources.db.read() as session:
        assert (await session.scalars(select(Volume))).all() == []
        assert (await session.scalars(select(Route).where(Route.hostname == "shop.example.org"))).all() == []
    allowed = Origin("dev@example.org", "session", permissions=OF_A_MEMBER)
    assert (await bench.end_of(await deploy_as(bench, service, allowed))).state == "succeeded"


async def test_a_build_deployed_later_asks_for_the_same_permissions(bench: Bench) -> None:
    service = await prepare(bench, FILES["route.create"])
    built = await bench.end_of(await bench.ask(service, DeploymentRequest(kind="build")))
    by = Origin("ci@example.org", "token", permissions=frozenset({"service.deploy"}))
    with pytest.raises(Forbidden, match=r"route\.create"):
        await deploy_as(bench, service, by, DeploymentRequest(build_id=built.build_id))


async def test_what_happens_on_the_way_carries_the_name_of_the_one_who_asked(bench: Bench) -> None:
    service = await prepare(bench, FILES["route.create"] + "\n" + FILES["volume.create"])
    by = Origin("dev@example.org", "session", permissions=OF_A_MEMBER)
    assert (await bench.end_of(await deploy_as(bench, service, by))).state == "succeeded"
    async with bench.resources.db.read() as session:
        events = (await session.scalars(select(Event).where(Event.actor == "dev@example.org"))).all()
    assert {"RouteCreated", "VolumeAttached", "DeploymentStarted", "DeploymentFinished"} <= {
        each.type for each in events
    }
    assert {each.via for each in events} == {"session"}


async def test_a_file_that_repeats_what_is_stored_needs_no_more_than_deploying(bench: Bench) -> None:
    service = await prepare(bench, "ports: [{port: 4000, public: true}]\nreplicas: 1\nhealth: {type: none}")
    by = Origin("ci@example.org", "token", permissions=frozenset({"service.deploy"}))
    ended = await bench.end_of(await deploy_as(bench, service, by))
    assert (ended.state, ended.reason) == ("succeeded", "")
