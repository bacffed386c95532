"""Changes the owner of the data in a volume, on explicit request."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from orca.errors import ProviderError, RequestRefused
from orca.providers.engines.docker.containers import Containers
from orca.providers.engines.docker.once import OneOff
from orca.providers.engines.docker.ownership import Ownership, parse_owner
from orca.providers.engines.docker.volumes import Volumes
from orca.sdk.connectors import Command, Connector
from orca.sdk.containers import ContainerSpec
from orca.sdk.workloads import Mount, Progress, VolumeOwner


def _arguments(mount: Mount) -> tuple[str, ...]:
    if not mount.owner:
        return ()
    uid, gid = parse_owner(mount.owner)
    return ("-R", "-h", f"{uid}:{gid}")


class Owner:
    """Runs `chown` in a container of the same image, or on the engine's machine if the image has no `chown`."""

    def __init__(
        self, containers: Containers, one_off: OneOff, ownership: Ownership, volumes: Volumes, connector: Connector
    ) -> None:
        self._containers = containers
        self._one_off = one_off
        self._ownership = ownership
        self._volumes = volumes
        self._connector = connector

    async def own(
        self, spec: ContainerSpec, before: Callable[[], Awaitable[None]], deadline: float, progress: Progress
    ) -> bool:
        """Change the owner; False if it was right already. Raises RequestRefused with the manual command on failure."""
        (mount,) = spec.mounts
        async with self._container(spec, mount) as (container_id, command):
            if await self._ownership.is_owned(container_id, mount):
                return False
            await before()
            await self._give(command, mount, deadline, progress)
            return True

    async def find(self, spec: ContainerSpec) -> VolumeOwner | None:
        """Return the owner of a volume, before a container that sets another owner is created."""
        (mount,) = spec.mounts
        async with self._container(spec, replace(mount, owner="", mode=None)) as (container_id, _):
            return await self._ownership.find_owner(container_id, mount.path)

    async def restore(self, spec: ContainerSpec, owner: VolumeOwner, deadline: float, progress: Progress) -> None:
        """Restore the owner of the contents, if `owner` names one, then of the folder. Raises like `own`."""
        mount = replace(spec.mounts[0], owner=owner.contents, mode=None)
        async with self._container(spec, mount) as (container_id, command):
            if owner.contents and not await self._ownership.is_owned(container_id, mount):
                await self._give(command, mount, deadline, progress)
            await self._ownership.put_folder(container_id, mount.path, owner)

    @asynccontextmanager
    async def _container(self, spec: ContainerSpec, mount: Mount) -> AsyncIterator[tuple[str, ContainerSpec]]:
        """Create, but do not start, a container that mounts the volume and changes its owner to that of `mount`."""
        # Restarted by the engine, it would change the owner once more after its end.
        command = replace(
            spec, mounts=(mount,), files=(), read_only=False, restart="no",
            user="0:0", entrypoint=("chown",), command=(*_arguments(mount), mount.path),
        )  # fmt: skip
        container_id = await self._containers.create(command)
        try:
            yield container_id, command
        finally:
            await self._containers.remove(container_id)

    async def _give(self, command: ContainerSpec, mount: Mount, deadline: float, progress: Progress) -> None:
        if not await self._run(command, deadline, progress):
            await self._run_outside(mount.volume, _arguments(mount), deadline)

    async def _run(self, command: ContainerSpec, deadline: float, progress: Progress) -> bool:
        try:
            return await self._one_off.run(command, deadline, progress) == 0
        except RequestRefused:  # the image has no such program
            return False

    async def _run_outside(self, volume: str, arguments: tuple[str, ...], deadline: float) -> None:
        folder = await self._volumes.find_folder(volume)
        try:
            result = await self._connector.run(Command(("chown", *arguments, folder), deadline=deadline))
            done = bool(folder) and result.exit_code == 0
        except ProviderError:
            done = False
        if not done:
            raise RequestRefused(
                f"The data in the volume {volume} could not be given to {arguments[-1]}: the image has no `chown`, and "
                "Orca may not do it on the machine.",
                hint=f"As root of that machine: chown {' '.join(arguments)} {folder or volume}",
            )
