"""Two services with one volume: its data has one owner, whatever their releases ask for."""

import pytest
from sqlalchemy import select
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_owed_volumes import OwningHost, host
from tests.features.deployments.test_pipeline import start_tasks

from orca.errors import Conflict
from orca.features.deployments.actions.remedy import apply_remedy
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment
from orca.features.services.actions import apply_orca_file, attach_volume, freeze_config, update_volume
from orca.features.services.models import Service, ServiceMount, Volume
from orca.features.services.orca_file import parse_orca_file
from orca.features.services.schemas.settings import BuildOptions
from orca.features.services.schemas.volumes import VolumeChanges, VolumeFields
from orca.sdk.containers import Unwritable
from orca.web.guard import Scope

__all__ = ["host"]
pytestmark = pytest.mark.slow


async def share(bench: Bench, owner: str = "") -> tuple[Service, Service, Volume]:
    """Two services that mount one volume."""
    web = await bench.make_service()
    api = await bench.make_sibling(web, "api")
    scope = Scope(web.team_id)
    async with bench.resources.db.write() as session:
        volume = await attach_volume(session, scope, web.id, VolumeFields(name="data", path="/data", owner=owner))
        await attach_volume(session, scope, api.id, VolumeFields(volume_id=volume.id, path="/srv"))
    await start_tasks(bench)
    return web, api, volume


async def deploy(bench: Bench, service: Service, kind: str = "deploy") -> Deployment:
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest(kind=kind)))  # type: ignore[arg-type]
    assert ended.state == "succeeded", ended.reason
    return ended


async def state_owner(bench: Bench, service: Service, volume: Volume, owner: str) -> None:
    async with bench.resources.db.write() as session:
        changes = VolumeChanges(owner=owner)
        await update_volume(session, Scope(service.team_id), service.id, volume.id, changes)


async def test_both_mount_the_volume_and_deploy_by_themselves(bench: Bench, host: OwningHost) -> None:
    web, api, volume = await share(bench)
    for service in (web, api, web):
        await deploy(bench, service)
    assert [len(await bench.containers(each)) for each in (web, api)] == [1, 1]
    assert list(host.volumes) == [volume.engine_name]


async def test_old_release_with_another_owner_leaves_shared_data_and_says_so(bench: Bench, host: OwningHost) -> None:
    web, api, volume = await share(bench, owner="1001")
    await deploy(bench, web)
    await deploy(bench, api)
    await state_owner(bench, api, volume, "2002")
    assert (await deploy(bench, api)).warnings == []
    assert host.owner == "2002"
    restarted = await deploy(bench, web, "restart")  # its release names 1001
    (warning,) = restarted.warnings
    assert "names 1001 as the owner of the volume data" in warning
    assert "shared with api and belongs to 2002" in warning
    assert "orc volumes edit data --owner 1001" in warning
    assert host.owner == "2002"
    assert (await deploy(bench, web)).warnings == []
    assert host.given == ["all to 1001", "all to 2002"]


async def test_owner_in_a_file_counts_for_a_volume_of_its_own_alone(bench: Bench, host: OwningHost) -> None:
    _, api, _ = await share(bench)
    file = parse_orca_file("volumes: [{name: data, path: /srv, owner: 3:3}]")
    async with bench.resources.db.write() as session:
        config, _ = await freeze_config(session, bench.resources.secret_box, await session.get_one(Service, api.id))
        merged, _ = await apply_orca_file(session, api, config, BuildOptions(), file)
    assert [each.owner for each in merged.mounts] == ["3:3"]
    deployment_id = await bench.ask(api, DeploymentRequest(kind="deploy"))
    async with bench.resources.db.write() as session:
        deployment = await session.get_one(Deployment, deployment_id)
        deployment.config = {**deployment.config, **merged.model_dump(mode="json")}
    ended = await bench.end_of(deployment_id)
    assert ("names no owner" in ended.warnings[0], host.given) == (True, [])


async def test_closed_shared_volume_is_told_without_a_remedy_that_takes_it_from_the_other(
    bench: Bench, host: OwningHost
) -> None:
    web, api, volume = await share(bench)
    await deploy(bench, web)
    alone = Unwritable(volume.engine_name, "/srv", "/srv", 5, 5)

    async def find(_container_id: str) -> list[Unwritable]:
        return [alone]

    host.find_unwritable = find  # type: ignore[method-assign]
    ended = await deploy(bench, api)
    assert ended.remedies == []
    assert "not writable for uid 5" in ended.warnings[0]
    assert "shares it with web: let all of them run as the same user" in ended.warnings[0]


async def test_remedy_for_a_volume_that_became_shared_is_refused(bench: Bench, host: OwningHost) -> None:
    web = await bench.make_service()
    scope = Scope(web.team_id)
    async with bench.resources.db.write() as session:
        volume = await attach_volume(session, scope, web.id, VolumeFields(name="data", path="/data"))
    await start_tasks(bench)

    async def find(_container_id: str) -> list[Unwritable]:
        return [Unwritable(volume.engine_name, "/data", "/data", 5, 5)]

    host.find_unwritable = find  # type: ignore[method-assign]
    ended = await deploy(bench, web)
    assert len(ended.remedies) == 1
    api = await bench.make_sibling(web, "api")

    class Anyone:
        def can(self, _permission: str) -> bool:
            return True

    async with bench.resources.db.write() as session:
        await attach_volume(session, scope, api.id, VolumeFields(volume_id=volume.id, path="/srv"))
        with pytest.raises(Conflict, match="mounted by api, web now"):
            await apply_remedy(session, bench.resources, Anyone(), ended, 0, trigger="api")  # type: ignore[arg-type]


async def test_file_mounts_the_named_volume_of_the_environment_or_one_of_its_own(
    bench: Bench, host: OwningHost
) -> None:
    web = await bench.make_service()
    api, worker = await bench.make_sibling(web, "api"), await bench.make_sibling(web, "worker")

    async def obey(service: Service, text: str) -> dict[str, str]:
        async with bench.resources.db.write() as session:
            row = await session.get_one(Service, service.id)
            config, _ = await freeze_config(session, bench.resources.secret_box, row)
            merged, _ = await apply_orca_file(session, row, config, BuildOptions(), parse_orca_file(text))
        return merged.volume_names

    first = await obey(web, "volumes: [{name: data, path: /data, owner: 7:7}]")
    own = await obey(api, "volumes: [{name: data, path: /data}]")
    assert own != first, "a name alone never shares what another service has"
    shared = "volumes: [{name: data, path: /seen, shared: true, read_only: true}]"
    assert await obey(worker, shared) == first
    assert await obey(worker, shared) == first
    with pytest.raises(Conflict, match="volume of its own that it calls “data”"):
        await obey(api, shared)
    with pytest.raises(Conflict, match="also mounted by web, worker, and its data belongs to 7:7"):
        await obey(await bench.make_sibling(web, "late"), "volumes: [{name: data, path: /d, shared: true, owner: 8:8}]")
    async with bench.resources.db.read() as session:
        names = (await session.scalars(select(Volume.name).order_by(Volume.name))).all()
        mounts = (await session.execute(select(ServiceMount.name, ServiceMount.read_only))).all()
    assert list(names) == ["api-data", "data"]
    assert sorted(tuple(each) for each in mounts) == [("data", False), ("data", False), ("data", True)]
