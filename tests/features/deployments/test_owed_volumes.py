"""A volume that a failed deployment could not give back is given back before anything else works with it."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select
from tests.features.deployments.bench import Bench, TroubledHost, destroy
from tests.features.deployments.test_pipeline import start_tasks
from tests.open_systems import exchange

from orca.db import now
from orca.errors import RequestRefused
from orca.features import connect_subscribers
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.deployments.models import Deployment, LiveRelease
from orca.features.deployments.operations.reconcile import reconcile_services
from orca.features.deployments.steps.give_back import UNDO_SECONDS, find_undo_seconds, give_back_volumes
from orca.features.deployments.tasks import sweep
from orca.features.services.actions import attach_volume
from orca.features.services.models import Service, Volume
from orca.features.services.schemas.volumes import VolumeFields
from orca.sdk.containers import ContainerSpec
from orca.sdk.workloads import Progress, Unwritable, VolumeOwner
from orca.web.guard import Scope

pytestmark = pytest.mark.slow


class OwningHost(TroubledHost):
    """Remembers who was given the one volume, whose it is, and how."""

    def __init__(self) -> None:
        super().__init__(["app:1", "app:2"])
        self.owner = "1:1"
        self.given: list[str] = []

    async def find_owner(self, spec: ContainerSpec) -> VolumeOwner | None:
        self._check_up()
        return VolumeOwner(self.owner, 0o755, self.owner)

    async def own_volume(
        self, spec: ContainerSpec, *, before: Callable[[], Awaitable[None]], deadline: float, progress: Progress
    ) -> bool:
        self._check_up()
        (mount,) = spec.mounts
        if mount.owner == self.owner:
            return False
        await before()
        self.owner = mount.owner
        self.given.append(f"all to {self.owner}")
        return True

    async def restore_owner(
        self, spec: ContainerSpec, owner: VolumeOwner, *, deadline: float, progress: Progress
    ) -> None:
        self._check_up()
        self.owner = owner.folder
        self.given.append(f"all back to {owner.contents}" if owner.contents else f"folder back to {owner.folder}")

    async def find_unwritable(self, container_id: str) -> list[Unwritable]:
        return []


@pytest.fixture
def host(bench: Bench) -> OwningHost:
    host = OwningHost()
    bench.resources = exchange(bench.resources, containers=host)
    connect_subscribers(bench.resources.db, bench.resources)
    return host


async def make_owned(bench: Bench, owner: str = "2:2", mode: str = "") -> tuple[Service, Volume]:
    """A live service, and a volume for its next release."""
    service = await bench.make_service()
    await bench.make_live(service)
    async with bench.resources.db.write() as session:
        fields = VolumeFields(name="data", path="/data", owner=owner, mode=mode)
        volume = await attach_volume(session, Scope(service.team_id), service.id, fields)
    return service, volume


async def fail(bench: Bench, service: Service, *, away: bool) -> Deployment:
    """A deployment that stopped the old release, after which the engine is away for the undoing, or is not."""
    deployment_id = await bench.ask(service, DeploymentRequest())

    async def vanish() -> None:
        bench.host.down = away
        raise RequestRefused("the engine refuses")

    bench.host.at_apply = vanish  # type: ignore[method-assign]
    await start_tasks(bench)
    ended = await bench.end_of(deployment_id)
    del bench.host.at_apply
    bench.host.down = False
    assert ended.state == "failed"
    return ended


async def owed(bench: Bench, deployment: Deployment) -> dict[str, object]:
    async with bench.resources.db.read() as session:
        return (await session.get_one(Deployment, deployment.id)).former_owners


async def states(bench: Bench, service: Service) -> list[str]:
    return [each.state for each in await bench.containers(service)]


async def test_the_old_release_waits_until_it_can_write_again(bench: Bench, host: OwningHost) -> None:
    service, _ = await make_owned(bench)
    failed = await fail(bench, service, away=True)
    await bench.run_container(service, failed.id)
    assert (host.owner, await states(bench, service)) == ("2:2", ["exited", "running"])
    assert await find_undo_seconds(bench.resources.db, failed.id) > UNDO_SECONDS

    await sweep(bench.resources)
    await reconcile_services(bench.resources)
    assert await states(bench, service) == ["exited", "running"]
    host.down = True
    await give_back_volumes(bench.resources)
    host.down = False
    assert await owed(bench, failed) != {}

    await give_back_volumes(bench.resources)
    assert (host.owner, await states(bench, service), await owed(bench, failed)) == ("1:1", ["exited"], {})
    await reconcile_services(bench.resources)
    assert await states(bench, service) == ["running"]
    await give_back_volumes(bench.resources)
    assert host.given == ["all to 2:2", "all back to 1:1"]
    assert "belongs to 1:1 again" in await bench.log_of(failed.id)


async def test_the_next_deployment_gives_it_back_first(bench: Bench, host: OwningHost) -> None:
    service, _ = await make_owned(bench)
    failed = await fail(bench, service, away=True)
    again = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert (again.state, again.former_owners, await owed(bench, failed)) == ("succeeded", {}, {})
    assert host.given == ["all to 2:2", "all back to 1:1", "all to 2:2"]


@pytest.mark.parametrize(
    ("owner", "mode", "given"),
    [("2:2", "", ["all to 2:2", "all back to 1:1"]), ("1:1", "0750", ["folder back to 1:1"]),
     ("", "0750", ["folder back to 1:1"])],
)  # fmt: skip
async def test_what_was_not_changed_is_not_rewritten(
    bench: Bench, host: OwningHost, owner: str, mode: str, given: list[str]
) -> None:
    service, _ = await make_owned(bench, owner, mode)
    failed = await fail(bench, service, away=False)
    assert (host.given, await owed(bench, failed), await states(bench, service)) == (given, {}, ["running"])


@pytest.mark.parametrize("reason", ["live", "destroyed", "deleted"])
async def test_a_debt_ends_with_what_it_was_about(bench: Bench, host: OwningHost, reason: str) -> None:
    """Else it would take the volume from the release that is live, or make a destroyed one anew."""
    service, volume = await make_owned(bench)
    deployment_id = await bench.ask(service, DeploymentRequest())
    async with bench.resources.db.write() as session:
        failed = await session.get_one(Deployment, deployment_id)
        former = {"folder": "1:1", "mode": 0o755, "contents": "1:1", "changed": True}
        failed.state, failed.former_owners = "failed", {volume.engine_name: former}
        if reason == "live":
            live = await session.scalar(select(LiveRelease).where(LiveRelease.service_id == service.id))
            assert live is not None
            live.deployment_id = failed.id
        elif reason == "destroyed":
            await destroy(session, volume)
        else:
            (await session.get_one(Service, service.id)).deleted_at = now()
    await give_back_volumes(bench.resources)
    assert (await owed(bench, failed), host.given) == ({}, [])
