"""The Docker engine as the rest of Orca sees it: each method hands on to the module that knows how."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import RequestRefused
from orca.providers.engines.docker.config import DockerConfig
from orca.providers.engines.docker.connection import DockerConnection
from orca.providers.engines.docker.containers import Containers
from orca.providers.engines.docker.execs import Execs
from orca.providers.engines.docker.images import Images
from orca.providers.engines.docker.listening import Listeners
from orca.providers.engines.docker.logs import read_logs
from orca.providers.engines.docker.measure import Meter
from orca.providers.engines.docker.networks import Networks
from orca.providers.engines.docker.once import OneOff
from orca.providers.engines.docker.ownership import Ownership
from orca.providers.engines.docker.owning import Owner
from orca.providers.engines.docker.plan import CreateContainer, RemoveContainer, StartContainer, plan
from orca.providers.engines.docker.pull import Puller
from orca.providers.engines.docker.volumes import Volumes
from orca.sdk.connectors import CommandResult, Connector
from orca.sdk.engines import (
    Container,
    ContainerSpec,
    EngineAway,
    EngineInfo,
    Image,
    Listener,
    LogLine,
    Progress,
    RegistryLogin,
    Unwritable,
)
from orca.sdk.plans import Change


class DockerEngine:
    """A live engine. All it lists and touches carries the label of this instance."""

    def __init__(self, config: DockerConfig, connection: DockerConnection, connector: Connector) -> None:
        self._connection = connection
        self._networks = Networks(connection, connector, config.instance, config.address_pool)
        self._volumes = Volumes(connection, config.instance)
        self._images = Images(connection, config.instance)
        self._puller = Puller(connection, self._images, config)
        self._containers = Containers(connection, self._networks, self._volumes, self._images, config.instance)
        self._one_off = OneOff(connection, self._containers)
        self._ownership = Ownership(connection)
        self._owner = Owner(self._containers, self._one_off, self._ownership, self._volumes, connector)
        self._execs = Execs(connection, connector)
        self._listeners = Listeners(connector, self._execs)
        self._meter = Meter(connection)

    async def info(self) -> EngineInfo:
        """Ask the engine who it is."""
        version = await self._connection.get("say its version", "version")
        facts = await self._connection.get("describe itself", "info")
        if facts["ContainerdCommit"]["ID"] == "N/A":
            raise EngineAway(
                "Docker has lost its containerd.", hint="It may be restarting: see `systemctl status containerd`."
            )
        return EngineInfo(
            version=version["Version"],
            api_version=version["ApiVersion"],
            data_root=facts["DockerRootDir"],
            cpus=facts["NCPU"],
            memory_bytes=facts["MemTotal"],
            architecture=facts.get("Architecture", ""),
        )

    async def inspect(self, labels: Mapping[str, str]) -> list[Container]:
        """This instance's containers with these labels, oldest first."""
        return await self._containers.inspect(labels)

    async def survey(self, labels: Mapping[str, str]) -> list[Container]:
        """The same from one list; only what does not run steadily is looked at more closely."""
        return await self._containers.survey(labels)

    def plan(self, current: Sequence[Container], desired: Sequence[ContainerSpec]) -> list[Change]:
        """What to create, start and remove."""
        return list(plan(current, desired))

    async def apply(self, changes: Sequence[Change]) -> None:
        """Carry out changes of this engine's own plan, in order."""
        for change in changes:
            match change:
                case CreateContainer(spec):
                    await self._containers.create(spec)
                case StartContainer(name):
                    await self._containers.start(name)
                case RemoveContainer(container_id):
                    await self._containers.remove(container_id)
                case _:
                    raise TypeError(f"{type(change).__name__} is not a change of the Docker engine")

    async def start(self, name: str) -> None:
        """One that runs is left alone."""
        await self._containers.start(name)

    async def stop(self, container_id: str, *, grace: float) -> None:
        """TERM, wait, KILL."""
        await self._containers.stop(container_id, grace)

    async def remove(self, container_id: str) -> None:
        """Remove a container and keep its volumes."""
        await self._containers.remove(container_id)

    async def run_once(self, spec: ContainerSpec, *, deadline: float, progress: Progress) -> int:
        """Run to the end; on re-attaching, all lines come again from the first."""
        return await self._one_off.run(spec, deadline, progress)

    async def logs(
        self, container_id: str, *, tail: int | None, follow: bool, since: datetime | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """The last lines and what follows."""
        await self._require(container_id)
        reading = read_logs(self._connection, container_id, tail=tail, follow=follow, since=since)
        async with aclosing(reading) as lines:
            async for line in lines:
                yield line

    async def pull_image(self, reference: str, login: RegistryLogin | None, progress: Progress) -> Image:
        """Fetch an image."""
        return await self._puller.pull(reference, login, progress)

    async def find_image(self, reference: str) -> Image | None:
        """By id, tag or digest."""
        return await self._images.find(reference)

    async def list_images(self, labels: Mapping[str, str]) -> list[Image]:
        """This instance's images (label `orca.instance`) with these labels."""
        return await self._images.list(labels)

    async def remove_image(self, reference: str) -> bool:
        """False when it is in use or gone."""
        return await self._images.remove(reference)

    async def list_volumes(self, labels: Mapping[str, str]) -> list[str]:
        """This instance's volumes with these labels."""
        return await self._volumes.list(labels)

    async def remove_volume(self, name: str) -> None:
        """Destroy a volume of this instance; one that is gone is no error."""
        await self._volumes.remove(name)

    async def own_volume(self, spec: ContainerSpec, *, deadline: float, progress: Progress) -> bool:
        """Give the data in the one mount of `spec` to the owner that it names."""
        return await self._owner.own(spec, deadline, progress)

    async def find_unwritable(self, container_id: str) -> list[Unwritable]:
        """The volumes in which the user of a container cannot write."""
        facts = await self._containers.find_ours(container_id)
        return await self._ownership.find_unwritable(facts) if facts else []

    async def remove_network(self, name: str) -> None:
        """Remove an unused network of this instance."""
        await self._networks.remove(name)

    async def exec(self, container_id: str, argv: Sequence[str], *, deadline: float) -> CommandResult:
        """Run a command inside."""
        await self._require(container_id)
        return await self._execs.run(container_id, argv, deadline)

    async def find_listeners(self, container_id: str) -> list[Listener] | None:
        """The TCP ports on which the container listens."""
        facts = await self._containers.find_ours(container_id)
        return await self._listeners.find(facts) if facts else None

    async def stats(self, container_id: str) -> tuple[float, int]:
        """Cores and bytes in use."""
        await self._require(container_id)
        return await self._meter.measure(container_id)

    async def _require(self, container_id: str) -> None:
        if await self._containers.find_ours(container_id) is None:
            raise RequestRefused("The container is gone.", hint="Look at the service again; it may have been replaced.")


class DockerEngineProvider:
    """Opens Docker engines."""

    name: ClassVar[str] = "docker"
    Config: ClassVar[type[BaseModel]] = DockerConfig

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[DockerEngine]:
        """Connect lazily. `connector` leads to the machine that the engine runs on."""
        docker = DockerConfig.model_validate(config.model_dump())
        connection = DockerConnection(docker.host)
        try:
            yield DockerEngine(docker, connection, connector)
        finally:
            await connection.close()
