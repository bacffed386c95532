"""Deployments that wait for a build slot occupy none of the slots of others."""

import pytest
from tests.core.test_tasks import eventually
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_frozen import Imager, send
from tests.features.deployments.test_pipeline import start_tasks

from orca.features.deployments import queries
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment
from orca.tasks import Task
from orca.tasks.lanes import LANES

pytestmark = pytest.mark.slow
WAITING = sum(LANES.values()) + 4


async def explain(bench: Bench, deployment_id: str) -> str:
    async with bench.resources.db.read() as session:
        return await queries.explain_wait(session, await session.get_one(Deployment, deployment_id))


async def waiting_of(bench: Bench, asked: list[str]) -> list[str]:
    """Those that wait, once each of the others builds."""

    async def find() -> list[str]:
        found = [each for each in asked if "another build" in await explain(bench, each)]
        return found if len(found) == len(asked) - LANES["build"] else []

    return await eventually(find, 60)


async def ask_for_builds(bench: Bench, number: int) -> list[str]:
    asked = []
    for index in range(number):
        service = await bench.make_service(f"built-{index}")
        await send(bench, service, {"Dockerfile": "FROM scratch\n"})
        asked.append(await bench.ask(service, DeploymentRequest(kind="build")))
    return asked


async def test_deployments_that_wait_for_builds_hold_up_no_stop_of_another_service(bench: Bench) -> None:
    imager, service = Imager(bench), await bench.make_service()
    await bench.make_live(service)
    imager.go_on.clear()
    asked = await ask_for_builds(bench, LANES["build"] + WAITING)
    await start_tasks(bench)
    waiting = await waiting_of(bench, asked)
    stopped = await bench.end_of(await bench.ask(service, DeploymentRequest(kind="stop")))
    assert (stopped.state, await bench.containers(service)) == ("succeeded", [])
    why = await explain(bench, waiting[1])
    assert why == (
        "Waiting for another build to end (ORC_BUILD_CONCURRENCY says how many run at a time)."
        f" Lane “build”: {LANES['build']} at work; 1 task before it in line."
    )
    assert "Waiting for another build to end" in await bench.log_of(waiting[0])
    imager.go_on.set()
    for each in asked:
        assert (await bench.end_of(each)).state == "succeeded"


async def test_a_deployment_that_waits_for_a_build_is_cancelled_and_its_service_goes_on(bench: Bench) -> None:
    imager = Imager(bench)
    imager.go_on.clear()
    asked = await ask_for_builds(bench, LANES["build"] + 1)
    await start_tasks(bench)
    (waiting,) = await waiting_of(bench, asked)
    async with bench.resources.db.read() as session:
        deployment = await session.get_one(Deployment, waiting)
        task = await session.get_one(Task, deployment.task_id)
    assert (deployment.state, task.state, task.lane) == ("running", "queued", "build")
    await bench.cancel(waiting)
    ended = await bench.end_of(waiting)
    assert (ended.state, ended.reason) == ("cancelled", "cancelled by orca")
    assert not (bench.resources.settings.data_dir / "work" / waiting).exists()
    imager.go_on.set()
    for each in set(asked) - {waiting}:
        assert (await bench.end_of(each)).state == "succeeded"
