"""Services that are live without a deployment of minutes, and an engine to which things happen."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from tests.features.routing.bench import make_service
from tests.open_systems import host_of

from orca.db import now
from orca.features.deployments import queries
from orca.features.deployments.actions.cancel import cancel_deployment
from orca.features.deployments.actions.start import DeploymentRequest, start_deployment
from orca.features.deployments.models import Deployment, LiveRelease, LogChunk, Release
from orca.features.deployments.rules import FINISHED
from orca.features.secrets.actions import put_secret
from orca.features.services.models import Service, ServiceMount, Volume
from orca.features.services.schemas.settings import FrozenConfig
from orca.kit.ids import new_id
from orca.resources import Resources
from orca.sdk.containers import Container, ContainerSpec, Image, RegistryLogin
from orca.sdk.engines import Engine
from orca.sdk.plans import Change
from orca.sdk.testing.fake_host import FakeHost
from orca.sdk.workloads import Progress
from orca.systems import LOCAL

Trouble = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    return None


class TroubledHost(FakeHost):
    """The fake, and what happens at the moment it is asked to do something."""

    at_start: Trouble = staticmethod(_nothing)
    at_stop: Trouble = staticmethod(_nothing)
    at_pull: Trouble = staticmethod(_nothing)
    at_apply: Trouble = staticmethod(_nothing)
    at_run: Trouble = staticmethod(_nothing)

    async def start(self, name: str) -> None:
        await self.at_start()
        await super().start(name)

    async def apply(self, changes: Sequence[Change]) -> None:
        await self.at_apply()
        await super().apply(changes)

    async def run_once(self, spec: ContainerSpec, *, deadline: float, progress: Progress) -> int:
        await self.at_run()
        return await super().run_once(spec, deadline=deadline, progress=progress)

    async def stop(self, container_id: str, *, grace: float) -> None:
        await self.at_stop()
        await super().stop(container_id, grace=grace)

    async def pull_image(self, reference: str, login: RegistryLogin | None, progress: Progress) -> Image:
        await self.at_pull()
        return await super().pull_image(reference, login, progress)


async def destroy(session: AsyncSession, volume: Volume) -> None:
    """Delete the rows of a volume, as if it had been detached and destroyed."""
    await session.execute(delete(ServiceMount).where(ServiceMount.volume_id == volume.id))
    await session.delete(await session.get_one(Volume, volume.id))


@dataclass
class Bench:
    """What a test of deployments works on."""

    resources: Resources

    @property
    def host(self) -> TroubledHost:
        host = host_of(self.resources)
        assert isinstance(host, TroubledHost)
        return host

    async def engine(self) -> Engine:
        return await self.resources.systems.engine(LOCAL)

    async def make_service(self, slug: str = "web") -> Service:
        service = await make_service(self.resources.db, slug=slug, project=f"of-{slug}")
        async with self.resources.db.write() as session:
            row = await session.get_one(Service, service.id)
            row.source, row.kind, row.ports = {"type": "image", "image": "app:1"}, "worker", []
        return row

    async def make_sibling(self, service: Service, slug: str) -> Service:
        """A service beside another one, in the same environment."""
        async with self.resources.db.write() as session:
            row = await session.get_one(Service, service.id)
            columns = {each.key: getattr(row, each.key) for each in inspect(Service).column_attrs}
            sibling = Service(**columns | {"id": new_id(), "name": slug, "slug": slug})
            session.add(sibling)
        return sibling

    async def make_live(self, service: Service) -> str:
        """One container has run for an hour, of the deployment that is given back."""
        an_hour_ago = now() - timedelta(hours=1)
        config = FrozenConfig(kind="worker").model_dump(mode="json")
        common = {"team_id": service.team_id, "service_id": service.id}
        async with self.resources.db.write() as session:
            release = Release(**common, number=1, image="app:1", config=config, went_live_at=an_hour_ago)
            deployment = Deployment(
                **common, number=1, kind="deploy", state="succeeded", source=service.source, config=config, warnings=[],
                finished_at=an_hour_ago,
            )  # fmt: skip
            session.add_all([release, deployment])
            await session.flush()
            deployment.release_id = release.id
            session.add(LiveRelease(**common, release_id=release.id, deployment_id=deployment.id, since=an_hour_ago))
            await put_secret(
                session, self.resources.secret_box, team_id=service.team_id, owner=("release", release.id),
                name="variables", value="{}",
            )  # fmt: skip
        await self.run_container(service, deployment.id)
        return deployment.id

    async def make_web_live(self, service: Service) -> Deployment:
        """It was deployed once, and the proxy serves it under a name of the base domain."""
        await self.edit(
            service, kind="web", ports=[{"name": "http", "port": 8080, "public": True}], health={"type": "none"}
        )
        ended = await self.end_of(await self.ask(service, DeploymentRequest()))
        assert ended.state == "succeeded", ended.reason
        return ended

    async def edit(self, service: Service, **fields: Any) -> None:
        async with self.resources.db.write() as session:
            row = await session.get_one(Service, service.id)
            for name, value in fields.items():
                setattr(row, name, value)

    async def cancel(self, deployment_id: str) -> None:
        async with self.resources.db.write() as session:
            row = await session.get_one(Deployment, deployment_id)
            await cancel_deployment(session, self.resources, row)

    async def hold_pulls(self) -> tuple[asyncio.Event, asyncio.Event]:
        """(set when a pull has begun, to be set for it to go on)."""
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            begun.set()
            await go_on.wait()

        self.host.at_pull = wait  # type: ignore[method-assign]
        return begun, go_on

    async def live_image(self, service: Service) -> str:
        async with self.resources.db.read() as session:
            live = await queries.find_live(session, service.id)
            assert live is not None
            return (await session.get_one(Release, live.release_id)).image

    async def run_container(self, service: Service, deployment_id: str) -> None:
        labels = {
            "orca.instance": "test", "orca.service": service.id, "orca.deployment": deployment_id, "orca.replica": "0",
        }  # fmt: skip
        spec = ContainerSpec(f"orca-{deployment_id}-0", "app:1", "net", labels)
        await self.host.apply(self.host.plan([], [spec]))

    async def containers(self, service: Service) -> list[Container]:
        return await self.host.inspect({"orca.service": service.id})

    async def ask(self, service: Service, request: DeploymentRequest) -> str:
        async with self.resources.db.write() as session:
            row = await session.get_one(Service, service.id)
            return (await start_deployment(session, self.resources, row, request)).id

    async def deployments(self, service: Service) -> list[Deployment]:
        query = select(Deployment).where(Deployment.service_id == service.id).order_by(Deployment.number)
        async with self.resources.db.read() as session:
            return list(await session.scalars(query))

    async def end_of(self, deployment_id: str) -> Deployment:
        async with asyncio.timeout(30):
            while True:
                async with self.resources.db.read() as session:
                    row = await session.get_one(Deployment, deployment_id)
                if row.state in FINISHED:
                    return row
                await asyncio.sleep(0.05)

    async def log_of(self, deployment_id: str) -> str:
        query = select(LogChunk.text).where(LogChunk.deployment_id == deployment_id).order_by(LogChunk.offset)
        async with self.resources.db.read() as session:
            return "".join(await session.scalars(query))
