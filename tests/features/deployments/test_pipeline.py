"""How deployments end when something around them fails."""

import errno

import pytest
from tests.features.deployments.bench import Bench

from orca.db import DatabaseAway
from orca.db.failures import GONE
from orca.errors import Conflict
from orca.features.deployments import queries
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.tasks import sweep
from orca.features.services.models import Service
from orca.tasks import TaskEngine

pytestmark = pytest.mark.slow


async def start_tasks(bench: Bench) -> None:
    assert isinstance(bench.resources.tasks, TaskEngine)
    await bench.resources.tasks.start(bench.resources)


async def test_a_step_waits_for_a_database_that_is_away(bench: Bench) -> None:
    times = []

    async def lose_connection_once() -> None:
        times.append(len(times))
        if len(times) == 1:
            raise DatabaseAway(GONE, "server closed the connection unexpectedly")

    bench.host.at_pull = lose_connection_once
    deployment_id = await bench.ask(await bench.make_service(), DeploymentRequest(kind="build"))
    await start_tasks(bench)
    ended = await bench.end_of(deployment_id)
    assert (ended.state, ended.reason) == ("succeeded", "")
    assert len(times) == 2


async def deployments_that_run(bench: Bench, service: Service) -> set[str]:
    return {each.labels["orca.deployment"] for each in await bench.containers(service)}


async def surprise() -> None:
    raise RuntimeError("an unforeseen error")


async def test_after_traffic_moved_a_failure_is_a_warning(bench: Bench) -> None:
    service = await bench.make_service()
    before = await bench.make_live(service)
    deployment_id = await bench.ask(service, DeploymentRequest(kind="restart"))

    async def fail_and_be_cancelled() -> None:
        with pytest.raises(Conflict, match="live already"):
            await bench.cancel(deployment_id)
        await surprise()

    bench.host.at_stop = fail_and_be_cancelled
    await start_tasks(bench)
    ended = await bench.end_of(deployment_id)
    assert (ended.state, ended.reason) == ("succeeded", "")
    assert "retire_previous met a case it was not built for (RuntimeError)" in ended.warnings[0]
    async with bench.resources.db.read() as session:
        live = await queries.find_live(session, service.id)
    assert live is not None
    assert live.deployment_id == deployment_id
    assert await deployments_that_run(bench, service) == {before, deployment_id}
    del bench.host.at_stop
    await sweep(bench.resources)
    assert await deployments_that_run(bench, service) == {deployment_id}


async def test_what_a_stop_left_is_swept(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    bench.host.at_stop = surprise
    stop_id = await bench.ask(service, DeploymentRequest(kind="stop"))
    await start_tasks(bench)
    assert (await bench.end_of(stop_id)).state == "succeeded"
    assert [each.state for each in await bench.containers(service)] == ["running"]
    del bench.host.at_stop
    await sweep(bench.resources)
    assert await bench.containers(service) == []


async def test_a_step_waits_for_room_on_the_disk(bench: Bench) -> None:
    tries = []

    async def find_no_room_once() -> None:
        tries.append(len(tries))
        if len(tries) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    bench.host.at_pull = find_no_room_once  # type: ignore[method-assign]
    deployment_id = await bench.ask(await bench.make_service(), DeploymentRequest(kind="build"))
    await start_tasks(bench)
    ended = await bench.end_of(deployment_id)
    assert (ended.state, ended.reason, len(tries)) == ("succeeded", "", 2)
    assert "The disk is full." in await bench.log_of(deployment_id)
