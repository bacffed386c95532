"""Another number of replicas: those that can stay are not touched, whatever becomes of the others."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.features.deployments.bench import Bench
from tests.features.deployments.test_intent import NEVER_HEALTHY, desired_state
from tests.features.deployments.test_pipeline import start_tasks
from tests.features.deployments.test_refused import Moody, proxy  # noqa: F401 - a fixture

from orca.db import now
from orca.features.deployments import queries
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment
from orca.features.deployments.operations.reconcile import reconcile_services
from orca.features.deployments.tasks import sweep
from orca.features.orphans.operations import adopt, remove
from orca.features.orphans.queries import list_orphans
from orca.features.orphans.schemas import Decision
from orca.features.routing.queries import list_targets
from orca.features.services.models import Service
from orca.sdk.containers import ContainerSpec
from orca.sdk.plans import Change

pytestmark = pytest.mark.slow


async def scale(bench: Bench, service: Service, replicas: int) -> Deployment:
    return await bench.end_of(await bench.ask(service, DeploymentRequest(kind="scale", replicas=replicas)))


async def ids(bench: Bench, service: Service) -> list[str]:
    """By number of the replica."""
    found = [each for each in await bench.containers(service) if each.state == "running"]
    return [each.id for each in sorted(found, key=lambda each: int(each.labels["orca.replica"]))]


async def look_after(bench: Bench) -> None:
    await sweep(bench.resources)
    await reconcile_services(bench.resources)


async def add_replica(bench: Bench, service: Service, workload_id: str, maker: str, replica: int) -> None:
    labels = {
        "orca.instance": "test", "orca.service": service.id, "orca.deployment": workload_id, "orca.scaled-by": maker,
        "orca.replica": str(replica),
    }  # fmt: skip
    spec = ContainerSpec(f"orca-{workload_id}-{replica}", "app:1", "net", labels)
    await bench.host.apply(bench.host.plan([], [spec]))


async def test_replicas_that_can_stay_are_kept_and_found_afterwards(bench: Bench) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    await bench.make_web_live(service)
    [first] = await ids(bench, service)
    wide = await scale(bench, service, 3)
    three = await ids(bench, service)
    assert (wide.state, three[0], len(three)) == ("succeeded", first, 3)
    await look_after(bench)
    await scale(bench, service, 2)
    await look_after(bench)
    assert await ids(bench, service) == three[:2]
    async with bench.resources.db.read() as session:
        live = await queries.find_live(session, service.id)
        workloads = await queries.list_workloads(session)
    assert live is not None
    assert (live.release_id, workloads[service.id].replicas) == (wide.release_id, 2)
    await bench.end_of(await bench.ask(service, DeploymentRequest(kind="restart")))
    fresh = await ids(bench, service)
    assert len(fresh) == 2
    assert not set(fresh) & set(three)
    await bench.end_of(await bench.ask(service, DeploymentRequest(kind="stop")))
    assert await bench.containers(service) == []
    assert (await scale(bench, service, 1)).state == "succeeded"
    assert len(await ids(bench, service)) == 1


async def test_a_deployment_of_the_same_at_another_scale_keeps_them_too(bench: Bench) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    await bench.edit(service, strategy="recreate")
    first = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    [kept] = await ids(bench, service)
    await bench.edit(service, replicas=2)
    second = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert (second.state, second.release_id, (await ids(bench, service))[0]) == ("succeeded", first.release_id, kept)
    await bench.edit(service, replicas=1, command=["sleep", "1000"])
    third = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert third.release_id != first.release_id
    assert kept not in await ids(bench, service)


async def test_a_scaling_that_fails_takes_back_what_it_added(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    await start_tasks(bench)
    before = await ids(bench, service)
    async with bench.resources.db.write() as session:
        live = await queries.find_live(session, service.id)
        assert live is not None
        release = await queries.find_release(session, live.release_id)
        assert release is not None
        release.config = {**release.config, "health": NEVER_HEALTHY}
    failed = await scale(bench, service, 3)
    assert (failed.state, failed.code) == ("failed", "never-healthy")
    assert failed.hint.endswith("The replicas that ran before still serve.")
    assert [each.id for each in await bench.containers(service)] == before
    assert (await scale(bench, service, 1)).state == "succeeded"  # one that ran before is not asked
    assert await ids(bench, service) == before


async def test_replicas_that_do_not_run_get_no_traffic_and_are_replaced(bench: Bench) -> None:
    service = await bench.make_service()
    await start_tasks(bench)
    await bench.edit(service, restart="no")
    first = await bench.make_web_live(service)
    let_die_at_each_start(bench, f"orca-{first.id}-0")
    wide = await scale(bench, service, 2)
    assert (wide.state, await served(bench, service)) == ("succeeded", [1])
    assert wide.warnings == [
        f"Without traffic, because they do not run: orca-{first.id}-0. `orc restart` replaces them."
    ]
    narrow = await scale(bench, service, 1)  # the one that would stay is the one that does not run
    assert (narrow.state, narrow.code) == ("failed", "keeps-crashing")
    assert await served(bench, service) == [1]
    await bench.edit(service, replicas=3)
    deployed = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert (deployed.state, deployed.workload_id) == ("succeeded", None)
    assert await served(bench, service) == [0, 1, 2]
    assert len(await ids(bench, service)) == len(await bench.containers(service)) == 3


def let_die_at_each_start(bench: Bench, name: str) -> None:
    """The process of one container, as long as there is that container."""
    apply = bench.host.apply

    async def apply_and_crash(changes: Sequence[Change]) -> None:
        await apply(changes)
        if any(each.name == name for each in await bench.host.inspect({})):
            bench.host.crash(name)

    bench.host.apply = apply_and_crash  # type: ignore[method-assign]
    bench.host.crash(name)


async def served(bench: Bench, service: Service) -> list[int]:
    """Numbers of the replicas that get traffic."""
    async with bench.resources.db.read() as session:
        return sorted(target.replica for target in await list_targets(session, service.id))


async def test_a_scaling_from_nothing_that_fails_leaves_it_at_nothing(bench: Bench, proxy: Moody) -> None:  # noqa: F811
    service = await bench.make_service()
    await start_tasks(bench)
    await bench.make_web_live(service)
    proxy.disliked = proxy.served.routes[0].hostname
    assert (await scale(bench, service, 0)).state == "succeeded"
    for before in ("running", "stopped"):
        if before == "stopped":
            await bench.end_of(await bench.ask(service, DeploymentRequest(kind="stop")))
        proxy.refusals = 1
        assert (await scale(bench, service, 1)).state == "failed"
        assert await desired_state(bench, service) == before
        assert await served(bench, service) == []


async def test_replicas_of_a_newer_database_are_shown_and_stay(bench: Bench) -> None:
    service = await bench.make_service()
    live = await bench.make_live(service)
    await add_replica(bench, service, live, "of-a-newer-database", 1)
    both = await ids(bench, service)
    await look_after(bench)
    assert await ids(bench, service) == both
    [orphan] = (await list_orphans(bench.resources)).items
    assert (orphan.id, orphan.can_adopt) == ("of-a-newer-database", True)
    await adopt(bench.resources, Decision(kind="deployment", id=orphan.id))
    assert (await list_orphans(bench.resources)).items == []
    async with bench.resources.db.read() as session:
        workload = await queries.find_workload(session, service.id)
    assert workload is not None
    assert (workload.id, workload.replicas) == (live, 2)
    await look_after(bench)
    assert await ids(bench, service) == both
    async with bench.resources.db.write() as session:
        (await session.get_one(Deployment, orphan.id)).finished_at = now() - timedelta(hours=1)
    await add_replica(bench, service, live, "of-another", 2)
    await remove(bench.resources, Decision(kind="deployment", id="of-another"))
    await look_after(bench)
    assert await ids(bench, service) == both
