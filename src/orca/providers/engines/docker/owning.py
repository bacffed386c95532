"""Giving the data in a volume to another user, on somebody's explicit wish."""

from dataclasses import replace

from orca.errors import ProviderError, RequestRefused
from orca.providers.engines.docker.containers import Containers
from orca.providers.engines.docker.once import OneOff
from orca.providers.engines.docker.ownership import Ownership, parse_owner
from orca.providers.engines.docker.volumes import Volumes
from orca.sdk.connectors import Command, Connector
from orca.sdk.engines import ContainerSpec, Progress


class Owner:
    """Runs `chown` in a container of the same image; where the image has none, on the machine of the engine."""

    def __init__(
        self, containers: Containers, one_off: OneOff, ownership: Ownership, volumes: Volumes, connector: Connector
    ) -> None:
        self._containers = containers
        self._one_off = one_off
        self._ownership = ownership
        self._volumes = volumes
        self._connector = connector

    async def own(self, spec: ContainerSpec, deadline: float, progress: Progress) -> bool:
        """Whether anything had to be done. Raises RequestRefused with the command for a person when nothing helps."""
        (mount,) = spec.mounts
        uid, gid = parse_owner(mount.owner)
        arguments = ("-R", "-h", f"{uid}:{gid}")
        command = replace(spec, user="0:0", entrypoint=("chown",), command=(*arguments, mount.path))
        container_id = await self._containers.create(command)
        try:
            if await self._ownership.is_owned(container_id, mount):
                return False
            if not await self._run(command, deadline, progress):
                await self._run_outside(mount.volume, arguments, deadline)
            return True
        finally:
            await self._containers.remove(container_id)

    async def _run(self, command: ContainerSpec, deadline: float, progress: Progress) -> bool:
        try:
            return await self._one_off.run(command, deadline, progress) == 0
        except RequestRefused:  # there is no such program in the image
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
