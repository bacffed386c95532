"""What the sweep takes away, and what it leaves to those who work on it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from tests.features.deployments.bench import Bench, TroubledHost
from tests.features.deployments.test_pipeline import start_tasks
from tests.features.routing.bench import ScriptedProxy
from tests.open_systems import exchange

from orca.db import now
from orca.errors import RequestRefused
from orca.features import connect_subscribers
from orca.features.deployments import queries
from orca.features.deployments.actions.cancel import cancel_deployment
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment
from orca.features.deployments.operations.reconcile import reconcile_services
from orca.features.deployments.rules import Kind
from orca.features.deployments.tasks import sweep
from orca.features.services.actions import delete_service
from orca.features.services.models import Service
from orca.instance.tombstones import bury
from orca.resources import Resources
from orca.sdk.containers import ContainerSpec
from orca.sdk.proxies import ProxyConfig
from orca.web.guard import Scope


class WatchedHost(TroubledHost):
    """Remembers whom it was to stop, and with which grace."""

    def __init__(self) -> None:
        super().__init__(["app:1", "app:2"])
        self.stops: list[tuple[str, float]] = []

    async def stop(self, container_id: str, *, grace: float) -> None:
        found = [each for each in await self.inspect({}) if each.id == container_id]
        self.stops += [(each.labels["orca.deployment"], grace) for each in found]
        await super().stop(container_id, grace=grace)


class HesitantProxy(ScriptedProxy):
    """Refuses everything once, after something has happened."""

    before_refusing: Callable[[], Awaitable[None]] | None = None

    async def apply(self, desired: ProxyConfig) -> None:
        happens, self.before_refusing = self.before_refusing, None
        if happens is not None:
            await happens()
            raise RequestRefused("the configuration as a whole was refused")
        await super().apply(desired)


@pytest.fixture
def host(bench: Bench) -> WatchedHost:
    host = WatchedHost()
    equip(bench, exchange(bench.resources, containers=host))
    return host


def equip(bench: Bench, resources: Resources) -> None:
    bench.resources = resources
    connect_subscribers(resources.db, resources)


async def run_orphan(bench: Bench, name: str, labels: dict[str, str]) -> None:
    spec = ContainerSpec(name, "app:1", "net", {"orca.instance": "test", "orca.deployment": name, **labels})
    await bench.host.apply(bench.host.plan([], [spec]))


async def bury_orphans(bench: Bench, *names: str) -> None:
    async with bench.resources.db.write() as session:
        await bury(session, "deployment", names)


@pytest.mark.slow
async def test_the_old_release_stays_until_the_proxy_has_answered(bench: Bench) -> None:
    proxy = HesitantProxy()
    equip(bench, exchange(bench.resources, proxy=proxy))
    service = await bench.make_service()
    before = await bench.make_live(service)
    moved_to: list[str] = []

    async def sweep_meanwhile() -> None:
        async with bench.resources.db.read() as session:
            live = await queries.find_live(session, service.id)
        moved_to.append(live.deployment_id if live else "")
        await sweep(bench.resources)

    proxy.before_refusing = sweep_meanwhile
    deployment_id = await bench.ask(service, DeploymentRequest(kind="restart"))
    await start_tasks(bench)
    assert (await bench.end_of(deployment_id)).state == "failed"
    assert moved_to == [deployment_id]
    async with bench.resources.db.read() as session:
        live = await queries.find_live(session, service.id)
    assert live is not None
    assert live.deployment_id == before
    assert [each.labels["orca.deployment"] for each in await bench.containers(service)] == [before]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["restart", "stop", "remove"])
async def test_who_retires_a_container_is_not_disturbed(bench: Bench, host: WatchedHost, kind: Kind) -> None:
    service = await bench.make_service()
    before = await bench.make_live(service)

    async def sweep_meanwhile() -> None:
        if len(host.stops) == 1:
            await sweep(bench.resources)

    host.at_stop = sweep_meanwhile
    deployment_id = await bench.ask(service, DeploymentRequest(kind=kind))
    await start_tasks(bench)
    assert (await bench.end_of(deployment_id)).state == "succeeded"
    assert host.stops == [(before, 10.0)]
    left = {each.labels["orca.deployment"] for each in await bench.containers(service)}
    assert left == ({deployment_id} if kind == "restart" else set())


async def test_an_orphan_has_the_grace_that_it_was_started_with(bench: Bench, host: WatchedHost) -> None:
    await run_orphan(bench, "patient", {"orca.stop-grace": "300.0"})
    await run_orphan(bench, "old", {})
    await bury_orphans(bench, "patient", "old")
    await sweep(bench.resources)
    assert sorted(host.stops) == [("old", 10.0), ("patient", 300.0)]
    assert await host.inspect({}) == []


async def test_orphans_do_not_wait_for_each_other(bench: Bench, host: WatchedHost) -> None:
    for name in ("one", "two"):
        await run_orphan(bench, name, {})
    await bury_orphans(bench, "one", "two")
    both = asyncio.Barrier(2)

    async def meet() -> None:
        await both.wait()

    host.at_stop = meet
    async with asyncio.timeout(10):
        await sweep(bench.resources)
    assert await host.inspect({}) == []


@pytest.mark.parametrize("column", ["desired_state", "deleted_at"])
async def test_what_nobody_wants_any_more_goes(bench: Bench, column: str) -> None:
    service, other = await bench.make_service("first"), await bench.make_service("second")
    for each in (service, other):
        await bench.make_live(each)
    async with bench.resources.db.write() as session:
        row = await session.get_one(Service, service.id)
        setattr(row, column, {"desired_state": "stopped", "deleted_at": now()}[column])
    await sweep(bench.resources)
    assert await bench.containers(service) == []
    assert len(await bench.containers(other)) == 1


async def test_a_stop_that_waits_or_was_cancelled_stops_nothing(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    stop_id = await bench.ask(service, DeploymentRequest(kind="stop"))
    await sweep(bench.resources)
    assert len(await bench.containers(service)) == 1
    async with bench.resources.db.write() as session:
        await cancel_deployment(session, bench.resources, await session.get_one(Deployment, stop_id))
    await sweep(bench.resources)
    [container] = await bench.containers(service)
    await bench.host.remove(container.id)
    await reconcile_services(bench.resources)
    assert [each.kind for each in await bench.deployments(service)] == ["deploy", "stop", "restart"]


@pytest.mark.slow
async def test_deleting_a_service_ends_what_runs(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.make_live(service)
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    bench.host.at_pull = hang
    running = await bench.ask(service, DeploymentRequest())
    await start_tasks(bench)
    await begun.wait()
    waiting = await bench.ask(service, DeploymentRequest(kind="build"))
    asked_at = now()
    async with bench.resources.db.write() as session:
        await delete_service(session, Scope(service.team_id), service.id, service.slug)
    ended = await bench.end_of(running)
    assert (ended.state, ended.reason) == ("cancelled", "the service was deleted")
    assert (await bench.end_of(waiting)).state == "superseded"
    removed = (await bench.deployments(service))[-1]
    assert (removed.kind, (await bench.end_of(removed.id)).state) == ("remove", "succeeded")
    assert now() - asked_at < timedelta(seconds=15)
    assert await bench.containers(service) == []


async def test_sweep_containers_of_an_unknown_deployment_stay_and_nothing_is_put_in_their_place(bench: Bench) -> None:
    service = await bench.make_service()
    before = await bench.make_live(service)
    for container in await bench.containers(service):
        await bench.host.remove(container.id)
    await bench.run_container(service, "of-a-newer-database")
    for job in (sweep, reconcile_services):
        await job(bench.resources)
    assert [each.labels["orca.deployment"] for each in await bench.containers(service)] == ["of-a-newer-database"]
    assert [each.id for each in await bench.deployments(service)] == [before]
    await bury_orphans(bench, "of-a-newer-database")
    for job in (reconcile_services, sweep):
        await job(bench.resources)
    assert await bench.containers(service) == []
    assert [each.kind for each in await bench.deployments(service)] == ["deploy", "restart"]


async def test_sweep_containers_of_a_deleted_service_go_whichever_deployment_they_are_of(bench: Bench) -> None:
    service = await bench.make_service()
    await bench.run_container(service, "of-a-newer-database")
    await bench.edit(service, deleted_at=now())
    await sweep(bench.resources)
    assert await bench.containers(service) == []
