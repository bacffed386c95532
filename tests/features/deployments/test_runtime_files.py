"""Files of a service on their way to its containers: frozen, secret where they are to be, and refused where they cannot be."""

from dataclasses import asdict

import pytest
from sqlalchemy import select
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_frozen import Imager, send

from orca.errors import Conflict
from orca.events import Event
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment
from orca.features.deployments.steps.work import load_facts, workload_of
from orca.features.services.actions import attach_volume, set_variables
from orca.features.services.models import Service
from orca.features.services.schemas.variables import NamedVariable
from orca.features.services.schemas.volumes import VolumeFields
from orca.sdk.workloads import File, Workload
from orca.web.guard import Scope

pytestmark = pytest.mark.slow
PLAIN, SECRET = "/etc/app.conf", "/run/secrets/key"
FILES = {PLAIN: {"content": "level 1\n"}, SECRET: {"secret": "KEY"}}


async def set_key(bench: Bench, service: Service, value: str) -> None:
    variable = NamedVariable(key="KEY", value=value, is_secret=True)
    async with bench.resources.db.write() as session:
        await set_variables(
            session, bench.resources.secret_box, Scope(service.team_id), ("service", service.id), [variable]
        )


async def deploy(bench: Bench, service: Service, **request: object) -> Deployment:
    return await bench.end_of(await bench.ask(service, DeploymentRequest(**request)))  # type: ignore[arg-type]


async def workload(bench: Bench, deployment: Deployment) -> Workload:
    return workload_of(await load_facts(bench.resources, deployment.id), bench.resources)


@pytest.fixture
async def service(bench: Bench) -> Service:
    made = await bench.make_service()
    await bench.edit(made, runtime={"files": FILES})
    await set_key(bench, made, "hush-1")
    await bench.resources.tasks.start(bench.resources)
    return made


async def test_files_are_in_the_workload_and_a_secret_one_is_no_variable(bench: Bench, service: Service) -> None:
    ended = await deploy(bench, service)
    assert ended.state == "succeeded", ended.reason
    found = await workload(bench, ended)
    assert found.files == (File(PLAIN, b"level 1\n", 0o444), File(SECRET, b"hush-1", 0o400))
    assert "KEY" not in found.env
    assert "hush-1" not in repr(found)
    assert "hush-1" not in str({**asdict(found), "files": ()})
    async with bench.resources.db.read() as session:
        row = await session.get_one(Deployment, ended.id)
        events = (await session.scalars(select(Event))).all()
    assert "hush-1" not in str(row.config)
    assert not [event.type for event in events if "hush-1" in str(event.payload) or "level 1" in str(event.payload)]
    assert "hush-1" not in await bench.log_of(ended.id)


async def test_a_changed_file_and_a_changed_secret_are_new_releases_and_a_rollback_has_the_old_ones(
    bench: Bench, service: Service
) -> None:
    first = await deploy(bench, service)
    await bench.edit(service, runtime={"files": {**FILES, PLAIN: {"content": "level 2\n"}}})
    second = await deploy(bench, service)
    await set_key(bench, service, "hush-2")
    third = await deploy(bench, service)
    assert len({first.release_id, second.release_id, third.release_id}) == 3
    assert [each.content for each in (await workload(bench, third)).files] == [b"level 2\n", b"hush-2"]
    back = await deploy(bench, service, kind="rollback", release=1)
    assert back.state == "succeeded", back.reason
    assert [each.content for each in (await workload(bench, back)).files] == [b"level 1\n", b"hush-1"]


async def test_a_file_of_a_secret_that_is_not_there_is_refused_with_the_next_step(
    bench: Bench, service: Service
) -> None:
    await bench.edit(service, runtime={"files": {SECRET: {"secret": "OTHER"}}})
    with pytest.raises(Conflict, match="OTHER, which does not exist") as refused:
        await bench.ask(service, DeploymentRequest())
    assert "orc env set --secret OTHER" in str(refused.value.hint)


async def test_a_file_in_a_volume_is_refused(bench: Bench, service: Service) -> None:
    async with bench.resources.db.write() as session:
        fields = VolumeFields(name="data", path="/run/secrets")
        await attach_volume(session, Scope(service.team_id), service.id, fields)
    with pytest.raises(Conflict, match="put into the volume data"):
        await bench.ask(service, DeploymentRequest())


async def test_files_of_orca_yaml_are_checked_against_the_service(bench: Bench) -> None:
    service, _ = await bench.make_service(), Imager(bench)
    text = "ports: [{port: 4000, public: true}]\nruntime: {files: {/run/key: {secret: NOT_THERE}}}\n"
    await send(bench, service, {"Dockerfile": "FROM scratch\n", "orca.yaml": text})
    await bench.resources.tasks.start(bench.resources)
    ended = await deploy(bench, service)
    assert (ended.state, "NOT_THERE, which does not exist" in ended.reason) == ("failed", True)


async def test_health_command_is_said_in_the_log(bench: Bench, service: Service) -> None:
    await bench.edit(service, health={"type": "command", "command": ["echo", "two words"]})
    ended = await deploy(bench, service)
    assert ended.state == "succeeded", ended.reason
    assert "Health is asked by a command in the container: echo 'two words'" in await bench.log_of(ended.id)
