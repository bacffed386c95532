"""A deployment works with what was frozen when it was asked for, and with nothing that is another's by now."""

import asyncio
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.features.deployments.bench import Bench, destroy
from tests.features.deployments.test_pipeline import start_tasks
from tests.open_systems import handle_of

from orca.errors import Conflict
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.routing.models import Route
from orca.features.services.actions import attach_volume, delete_service, detach_volume, set_variables
from orca.features.services.models import Service, ServiceMount, Volume
from orca.features.services.schemas.variables import NamedVariable
from orca.features.services.schemas.volumes import VolumeFields
from orca.features.sources.models import Upload
from orca.kit.ids import new_id
from orca.sdk.builders import BuildRequest, BuiltImage, Detection
from orca.sdk.workloads import Progress
from orca.web.guard import Scope

pytestmark = pytest.mark.slow
ORCA_FILE = """\
name: web
ports: [{port: 4000, public: true}]
health: {type: none}
volumes: [{name: data, path: /data}]
domains: [shop.example.org]
"""


class Imager:
    """A builder whose image is there at once, or when a test lets it."""

    def __init__(self, bench: Bench) -> None:
        self.host = bench.host
        self.secrets: list[Mapping[str, str]] = []
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()
        handle_of(bench.resources, "builders")["imager"] = self

    async def detect(self, _tree: Path, _options: object = None) -> Detection:
        return Detection("imager", "dockerfile", "an image", "FROM scratch")

    async def build(self, request: BuildRequest, _log: Progress) -> BuiltImage:
        self.begun.set()
        await self.go_on.wait()
        self.secrets.append(dict(request.secrets))
        return BuiltImage(self.host.add_image(request.tag).id, request.tag, 1)


async def send(bench: Bench, service: Service, files: Mapping[str, str]) -> None:
    upload_id, archive = new_id(), io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    folder = bench.resources.settings.data_dir / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{upload_id}.tar").write_bytes(archive.getvalue())
    async with bench.resources.db.write() as session:
        row = {"id": upload_id, "team_id": service.team_id, "service_id": service.id}
        session.add(Upload(**row, sha256="0" * 64, size_bytes=1))
    await bench.edit(service, kind="web", source={"type": "directory", "upload_id": upload_id}, health={"type": "none"})


async def set_token(bench: Bench, service: Service, value: str) -> None:
    variable = NamedVariable(key="TOKEN", value=value, is_secret=True, is_build_time=True)
    async with bench.resources.db.write() as session:
        owner = ("service", service.id)
        await set_variables(session, bench.resources.secret_box, Scope(service.team_id), owner, [variable])


async def test_the_build_gets_the_variables_of_the_moment_it_was_asked_for(bench: Bench) -> None:
    service, imager = await bench.make_service(), Imager(bench)
    await send(bench, service, {"Dockerfile": "FROM scratch\n"})
    await set_token(bench, service, "old-secret")
    deployment_id = await bench.ask(service, DeploymentRequest())
    await set_token(bench, service, "new-secret")
    await start_tasks(bench)
    assert (await bench.end_of(deployment_id)).state == "succeeded"
    assert imager.secrets == [{"TOKEN": "old-secret"}]


async def test_a_build_deployed_later_runs_as_its_source_said(bench: Bench) -> None:
    service, _ = await bench.make_service(), Imager(bench)
    await send(bench, service, {"Dockerfile": "FROM scratch\n", "orca.yaml": ORCA_FILE})
    await start_tasks(bench)
    built = await bench.end_of(await bench.ask(service, DeploymentRequest(kind="build")))
    assert (built.state, built.reason) == ("succeeded", "")
    async with bench.resources.db.read() as session:
        assert (await session.scalars(select(Volume))).all() == [], "a build makes an image and nothing else"
        assert (await session.scalars(select(Route))).all() == []
    deployed = await bench.end_of(await bench.ask(service, DeploymentRequest(build_id=built.build_id)))
    assert (deployed.state, deployed.reason) == ("succeeded", "")
    assert [port["port"] for port in deployed.config["ports"]] == [4000]
    assert list(deployed.config["volume_names"]) == ["data"]
    async with bench.resources.db.read() as session:
        assert "shop.example.org" in (await session.scalars(select(Route.hostname))).all()


async def test_a_build_deployed_later_listens_where_its_image_does(bench: Bench) -> None:
    service = await bench.make_service()
    bench.host.add_image("web:1", ports=(3000,))
    await bench.edit(service, kind="web", health={"type": "none"}, source={"type": "image", "image": "web:1"})
    await start_tasks(bench)
    built = await bench.end_of(await bench.ask(service, DeploymentRequest(kind="build")))
    later = await bench.end_of(await bench.ask(service, DeploymentRequest(build_id=built.build_id)))
    assert [port["port"] for port in later.config["ports"]] == [3000]
    assert later.config["variables"] == {"PORT": "3000"}


async def test_a_service_deleted_while_it_builds_leaves_no_volume(bench: Bench) -> None:
    service, imager = await bench.make_service(), Imager(bench)
    imager.go_on.clear()
    await send(bench, service, {"Dockerfile": "FROM scratch\n", "orca.yaml": ORCA_FILE})
    await start_tasks(bench)
    deployment_id = await bench.ask(service, DeploymentRequest())
    await imager.begun.wait()
    async with bench.resources.db.write() as session:
        await delete_service(session, Scope(service.team_id), service.id, service.slug)
    assert (await bench.end_of(deployment_id)).state == "cancelled"
    async with bench.resources.db.read() as session:
        assert (await session.scalars(select(ServiceMount))).all() == []


async def test_going_back_takes_no_volume_that_is_anothers(bench: Bench) -> None:
    service = await bench.make_service()
    other = await bench.make_sibling(service, "other")
    scope = Scope(service.team_id)
    async with bench.resources.db.write() as session:
        volume = await attach_volume(session, scope, service.id, VolumeFields(name="data", path="/data"))
    await start_tasks(bench)
    for changes in ({}, {"source": {"type": "image", "image": "app:2"}}):
        await bench.edit(service, **changes)
        assert (await bench.end_of(await bench.ask(service, DeploymentRequest()))).state == "succeeded"
        async with bench.resources.db.write() as session:
            if not changes:
                await detach_volume(session, scope, service.id, volume.id)
    async with bench.resources.db.write() as session:
        await attach_volume(session, scope, other.id, VolumeFields(volume_id=volume.id, path="/other"))
    with pytest.raises(Conflict, match="“data” belongs to another service now"):
        await bench.ask(service, DeploymentRequest(kind="rollback"))
    async with bench.resources.db.write() as session:
        await destroy(session, volume)
    with pytest.raises(Conflict, match="“data” was destroyed"):
        await bench.ask(service, DeploymentRequest(kind="rollback"))


async def test_a_volume_destroyed_after_the_asking_is_not_made_again(bench: Bench) -> None:
    service = await bench.make_service()
    async with bench.resources.db.write() as session:
        volume = await attach_volume(session, Scope(service.team_id), service.id, VolumeFields(name="data", path="/d"))
    deployment_id = await bench.ask(service, DeploymentRequest())
    async with bench.resources.db.write() as session:
        await destroy(session, volume)
    await start_tasks(bench)
    ended = await bench.end_of(deployment_id)
    assert (ended.state, ended.reason) == ("failed", "the volume “data” was destroyed")
    assert bench.host.volumes == {}


async def test_builds_wait_for_builds_and_nothing_else_does(bench: Bench) -> None:
    imager, asked = Imager(bench), []
    imager.go_on.clear()
    idle = await bench.make_service("idle")
    await bench.make_live(idle)
    for slug in ("one", "two", "three"):
        service = await bench.make_service(slug)
        await send(bench, service, {"Dockerfile": "FROM scratch\n"})
        asked.append(await bench.ask(service, DeploymentRequest(kind="build")))
    await start_tasks(bench)
    await imager.begun.wait()
    assert (await bench.end_of(await bench.ask(idle, DeploymentRequest(kind="stop")))).state == "succeeded"
    logs = [await bench.log_of(deployment_id) for deployment_id in asked]
    assert sum("Waiting for another build to end" in log for log in logs) == 1
    imager.go_on.set()
    assert {(await bench.end_of(deployment_id)).state for deployment_id in asked} == {"succeeded"}
