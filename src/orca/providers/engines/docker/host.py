"""The Docker engine as the rest of Orca sees it; each method delegates to the module that implements it."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import RequestRefused
from orca.providers.engines.docker.cache import BuildCache
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
from orca.providers.engines.docker.terminals import Terminals
from orca.providers.engines.docker.volumes import Volumes
from orca.sdk.caches import CacheRecord
from orca.sdk.connectors import CommandResult, Connector
from orca.sdk.containers import Container, ContainerSpec, HostInfo, Image, RegistryLogin
from orca.sdk.engines import EngineUnreachable
from orca.sdk.plans import Change
from orca.sdk.terminals import Terminal, TerminalRequest
from orca.sdk.workloads import Listener, LogLine, Observation, Progress, Unwritable, VolumeOwner


class DockerHost:
    """A connected engine. Every object that it lists and changes has the label of this instance."""

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
        self._terminals = Terminals(connection, self._execs)
        self._listeners = Listeners(connector, self._execs)
        self._meter = Meter(connection)
        self._cache = BuildCache(connection)

    async def info(self) -> HostInfo:
        """Return the engine's versions, data directory, resources and architecture."""
        version = await self._connection.get("say its version", "version")
        facts = await self._connection.get("describe itself", "info")
        if facts["ContainerdCommit"]["ID"] == "N/A":
            raise EngineUnreachable(
                "Docker has lost its containerd.", hint="It may be restarting: see `systemctl status containerd`."
            )
        return HostInfo(
            version=version["Version"],
            api_version=version["ApiVersion"],
            data_root=facts["DockerRootDir"],
            cpus=facts["NCPU"],
            memory_bytes=facts["MemTotal"],
            architecture=facts.get("Architecture", ""),
        )

    async def inspect(self, labels: Mapping[str, str]) -> list[Container]:
        """Return this instance's containers with these labels, oldest first."""
        return await self._containers.inspect(labels)

    async def survey(self, labels: Mapping[str, str]) -> list[Container]:
        """Like `inspect`, from one list; only containers that do not run steadily are inspected one by one."""
        return await self._containers.survey(labels)

    def plan(self, current: Sequence[Observation], desired: Sequence[ContainerSpec]) -> list[Change]:
        """Return what to create, start and remove."""
        return list(plan(current, desired))

    async def apply(self, changes: Sequence[Change]) -> None:
        """Carry out changes of this engine's own plan, in order."""
        for change in changes:
            match change:
                case CreateContainer(spec):
                    await self._containers.create(spec)
                case StartContainer(name, unprepared):
                    await self._containers.start(name, unprepared)
                case RemoveContainer(container_id):
                    await self._containers.remove(container_id)
                case _:
                    raise TypeError(f"{type(change).__name__} is not a change of the Docker engine")

    async def start(self, name: str) -> None:
        """Start a container unless it runs."""
        await self._containers.start(name)

    async def stop(self, container_id: str, *, grace: float) -> None:
        """Send TERM, wait for `grace` seconds, then send KILL."""
        await self._containers.stop(container_id, grace)

    async def remove(self, container_id: str) -> None:
        """Remove a container and keep its volumes."""
        await self._containers.remove(container_id)

    async def run_once(self, spec: ContainerSpec, *, deadline: float, progress: Progress) -> int:
        """Run a container to its end; when a run is resumed, all lines are sent again from the first."""
        return await self._one_off.run(spec, deadline, progress)

    async def logs(
        self, container_id: str, *, tail: int | None, follow: bool, since: datetime | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """Return the last lines and, if asked, follow."""
        await self._require(container_id)
        reading = read_logs(self._connection, container_id, tail=tail, follow=follow, since=since)
        async with aclosing(reading) as lines:
            async for line in lines:
                yield line

    async def pull_image(self, reference: str, login: RegistryLogin | None, progress: Progress) -> Image:
        """Pull an image."""
        return await self._puller.pull(reference, login, progress)

    async def find_image(self, reference: str) -> Image | None:
        """Find an image by id, tag or digest."""
        return await self._images.find(reference)

    async def list_images(self, labels: Mapping[str, str]) -> list[Image]:
        """Return this instance's images (label `orca.instance`) with these labels."""
        return await self._images.list(labels)

    async def remove_image(self, reference: str) -> bool:
        """Remove an image; False when it is in use or gone."""
        return await self._images.remove(reference)

    async def list_cache(self) -> list[CacheRecord]:
        """Return the whole build cache of this engine, including that of builds that Orca did not start."""
        return await self._cache.list()

    async def measure_images(self) -> dict[str, int]:
        """Return the size of each image, without the layers that it shares with others."""
        return await self._images.measure()

    async def remove_cache(self, ids: Sequence[str]) -> None:
        """Remove cache records, except those that are in use or that other records depend on."""
        await self._cache.remove(ids)

    async def list_volumes(self, labels: Mapping[str, str]) -> list[str]:
        """Return this instance's volumes with these labels."""
        return await self._volumes.list(labels)

    async def remove_volume(self, name: str) -> None:
        """Destroy a volume of this instance. No error if it is gone."""
        await self._volumes.remove(name)

    async def find_owner(self, spec: ContainerSpec) -> VolumeOwner | None:
        """Return the owner of the data in the one mount of `spec`."""
        return await self._owner.find(spec)

    async def restore_owner(
        self, spec: ContainerSpec, owner: VolumeOwner, *, deadline: float, progress: Progress
    ) -> None:
        """Restore the former owner of the one volume of `spec`."""
        await self._owner.restore(spec, owner, deadline, progress)

    async def own_volume(
        self, spec: ContainerSpec, *, before: Callable[[], Awaitable[None]], deadline: float, progress: Progress
    ) -> bool:
        """Change the owner of the data in the one mount of `spec` to the one that the mount names."""
        return await self._owner.own(spec, before, deadline, progress)

    async def find_unwritable(self, container_id: str) -> list[Unwritable]:
        """Return the volumes in which the user of a container cannot write."""
        facts = await self._containers.find_ours(container_id)
        return await self._ownership.find_unwritable(facts) if facts else []

    async def remove_network(self, name: str) -> None:
        """Remove an unused network of this instance."""
        await self._networks.remove(name)

    async def exec(self, container_id: str, argv: Sequence[str], *, deadline: float) -> CommandResult:
        """Run a command inside a container."""
        await self._require(container_id)
        return await self._execs.run(container_id, argv, deadline)

    async def prepare_terminal(self, container_id: str, request: TerminalRequest) -> str:
        """Create an exec; its process starts when it is opened."""
        await self._require(container_id)
        return await self._terminals.prepare(container_id, request)

    def open_terminal(
        self, container_id: str, terminal_id: str, request: TerminalRequest
    ) -> AbstractAsyncContextManager[Terminal]:
        """Start the exec and attach to it."""
        return self._terminals.open(container_id, terminal_id, request)

    async def end_terminal(self, container_id: str, terminal_id: str) -> bool:
        """Kill the session of an exec, unless its container is gone."""
        if await self._containers.find_ours(container_id) is None:
            return True
        return await self._terminals.end(container_id, terminal_id)

    async def find_listeners(self, container_id: str) -> list[Listener] | None:
        """Return the TCP ports on which the container listens."""
        facts = await self._containers.find_ours(container_id)
        return await self._listeners.find(facts) if facts else None

    async def stats(self, container_id: str) -> tuple[float, int]:
        """Return the CPU cores and bytes of memory in use."""
        await self._require(container_id)
        return await self._meter.measure(container_id)

    async def _require(self, container_id: str) -> None:
        if await self._containers.find_ours(container_id) is None:
            raise RequestRefused("The container is gone.", hint="Look at the service again; it may have been replaced.")


class DockerHostProvider:
    """Opens Docker engines."""

    name: ClassVar[str] = "docker"
    Config: ClassVar[type[BaseModel]] = DockerConfig

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[DockerHost]:
        """Return an engine that connects on first use. `connector` runs commands on the engine's machine."""
        docker = DockerConfig.model_validate(config.model_dump())
        connection = DockerConnection(docker.host)
        try:
            yield DockerHost(docker, connection, connector)
        finally:
            await connection.close()
