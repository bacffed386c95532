"""What the head of a service tells: settings that are stored and not deployed, and why the last deployment failed."""

import pytest
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_pipeline import start_tasks

from orca.errors import StepFailed
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Build, Deployment, Release
from orca.features.deployments.operations.progress import fail
from orca.features.deployments.queries import find_rollback_release
from orca.features.deployments.service_status import ReleaseDifference, read_rollback, read_status, read_waiting
from orca.features.services.actions import set_variables
from orca.features.services.models import Service
from orca.features.services.schemas.variables import NamedVariable
from orca.features.services.service_status import ServiceStatus
from orca.web.guard import Scope


async def status_of(bench: Bench, service: Service) -> ServiceStatus:
    async with bench.resources.db.read() as session:
        return await read_status(session, bench.resources, await session.get_one(Service, service.id))


async def changes_of(bench: Bench, service: Service, *, rollback: bool = False) -> ReleaseDifference:
    async with bench.resources.db.read() as session:
        row = await session.get_one(Service, service.id)
        target = await find_rollback_release(session, service.id, None) if rollback else None
        return await read_rollback(session, row, target) if target else await read_waiting(session, row)


async def put(bench: Bench, service: Service, key: str, value: str, *, is_secret: bool = True) -> None:
    async with bench.resources.db.write() as session:
        given = [NamedVariable(key=key, value=value, is_secret=is_secret)]
        owner = ("service", service.id)
        await set_variables(session, bench.resources.secret_box, Scope(service.team_id), owner, given)


async def test_what_was_never_deployed_has_nothing_to_compare(bench: Bench) -> None:
    assert await status_of(bench, await bench.make_service()) == ServiceStatus(state="empty")


@pytest.mark.slow
async def test_a_deployment_ends_all_differences(bench: Bench) -> None:
    service = await bench.make_service()
    await put(bench, service, "TOKEN", "one")
    await start_tasks(bench)
    await bench.make_web_live(service)
    assert (await status_of(bench, service)).pending == ()
    await bench.edit(service, stop_grace=3.0, source={"type": "image", "image": "app:2"})
    await put(bench, service, "TOKEN", "two")
    await put(bench, service, "LEVEL", "info", is_secret=False)
    told = ("image app:1→app:2", "stop grace 10 s→3 s", "variable LEVEL added", "variable TOKEN changed")
    assert (await status_of(bench, service)).pending == told
    waiting = await changes_of(bench, service)
    assert (waiting.lines, waiting.variables) == ([*told], {"LEVEL": "added", "TOKEN": "changed"})
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert ended.state == "succeeded", ended.reason
    status = await status_of(bench, service)
    assert (status.release_id, status.pending, status.failure) == (ended.release_id, (), None)
    assert status.last is not None
    assert (status.last.number, status.last.state, status.address) == (2, "succeeded", "https://web-of-web.localhost/")
    assert (await changes_of(bench, service)).lines == []
    back = await changes_of(bench, service, rollback=True)
    assert (back.live and back.live.number, back.target and back.target.number) == (2, 1)
    assert back.lines == ["stop grace 3 s→10 s", "variable LEVEL removed", "variable TOKEN changed"]
    assert back.variables == {"LEVEL": "removed", "TOKEN": "changed"}


@pytest.mark.slow
async def test_a_scaled_and_a_restarted_service_is_deployed(bench: Bench) -> None:
    service = await bench.make_service()
    await put(bench, service, "TOKEN", "one")
    await start_tasks(bench)
    await bench.make_web_live(service)
    for request in (DeploymentRequest(kind="scale", replicas=2), DeploymentRequest(kind="restart")):
        ended = await bench.end_of(await bench.ask(service, request))
        assert ended.state == "succeeded", ended.reason
        assert (await status_of(bench, service)).pending == ()
    await bench.edit(service, replicas=3)
    assert (await status_of(bench, service)).pending == ("replicas 2→3",)


@pytest.mark.slow
async def test_what_the_source_says_on_top_is_no_difference(bench: Bench) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    live = await bench.make_web_live(service)
    async with bench.resources.db.write() as session:
        (await session.get_one(Build, live.build_id)).orca_file = "stop_grace: 5\nvariables: {LEVEL: info}\n"
        release = await session.get_one(Release, live.release_id)
        release.config = {
            **release.config, "stop_grace": 5.0, "variables": {**release.config["variables"], "LEVEL": "info"},
        }  # fmt: skip
    await bench.edit(service, stop_grace=7.0)  # orca.yaml wins over it
    assert (await status_of(bench, service)).pending == ()
    await bench.edit(service, command=["serve"])
    assert (await status_of(bench, service)).pending == ("command none→serve",)


@pytest.mark.slow
async def test_a_failure_is_told_until_something_else_was_asked_for(bench: Bench) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    await bench.make_web_live(service)
    asked = await bench.ask(service, DeploymentRequest(kind="stop"))
    await bench.end_of(asked)
    async with bench.resources.db.write() as session:
        (await session.get_one(Deployment, asked)).state = "running"
    await fail(bench.resources.db, asked, StepFailed("the disk is full", hint="Make room."))
    failure = (await status_of(bench, service)).failure
    assert failure is not None
    assert (failure.title, failure.reason, failure.hint) == ("Stop #2 failed", "the disk is full", "Make room.")
    assert failure.href == f"/deployments/{asked}"
    await bench.end_of(await bench.ask(service, DeploymentRequest(kind="start")))
    assert (await status_of(bench, service)).failure is None
