"""What is put into containers whose root is read-only: the engine unpacks nothing there, not even before the start.

So a second container, which mounts the same volumes and is never started, takes the archives. Files outside of the
volumes go into one of their own, each is mounted from there, and it is removed with the container that has the files.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from orca.errors import ProviderError, ProviderUnavailable, RequestRefused
from orca.providers.engines.docker.connection import DockerConnection
from orca.providers.engines.docker.failures import NameConflict, NoSuchObject
from orca.providers.engines.docker.labels import CONTAINER, FILES, INSTANCE, REPLICA, is_ours
from orca.providers.engines.docker.ownership import Ownership, group_by_mount
from orca.providers.engines.docker.references import check_name
from orca.providers.engines.docker.render import FOLDER, Sealed, render_mount
from orca.providers.engines.docker.volumes import Volumes
from orca.sdk.containers import ContainerSpec
from orca.sdk.workloads import File, Mount

_CLOSED: Final = 0o700


class SealedFiles:
    """Prepares containers of one instance whose root is read-only."""

    def __init__(self, connection: DockerConnection, volumes: Volumes, ownership: Ownership, instance: str) -> None:
        self._connection = connection
        self._volumes = volumes
        self._ownership = ownership
        self._instance = instance

    async def prepare(self, spec: ContainerSpec) -> Sealed | None:
        """Set the owners of empty volumes, and store the files that the root cannot take. Safe to repeat.

        Returns where the files are; None when there are none.
        """
        files = list_sealed(spec)
        if not (files or spec.mounts):
            return None
        volume = check_name(f"{spec.name}-files")
        mounts = spec.mounts
        if files:
            await self._volumes.ensure(volume, {**spec.labels, FILES: spec.name})
            mounts = (*mounts, Mount(volume, FOLDER))
        writer = await self._make_writer(spec, volume, mounts)
        await self._ownership.prepare(writer, spec.mounts)
        places = await self._store(writer, volume, files)
        with suppress(NoSuchObject):
            await self._connection.delete("remove a container", f"containers/{writer['Id']}", params={"force": "true"})
        return Sealed(volume, places) if places else None

    async def _store(self, writer: Mapping[str, Any], volume: str, files: Sequence[File]) -> dict[str, str]:
        if not files:
            return {}
        await self._ownership.close_folder(writer["Id"], FOLDER, _CLOSED)
        numbered = [replace(file, path=f"{FOLDER}/{number}") for number, file in enumerate(files)]
        await self._ownership.put_files(writer, numbered, [FOLDER])
        folder = await self._volumes.find_folder(volume)
        if not folder:
            raise ProviderUnavailable(f"The volume {volume} vanished while it was written.", hint="Try again.")
        return {file.path: f"{folder}/{number}" for number, file in enumerate(files)}

    async def remove_of(self, facts: Mapping[str, Any]) -> None:
        """Remove the files of a container that was removed."""
        for mount in facts["Mounts"]:
            if mount["Type"] == "volume" and mount["Destination"] == FOLDER:
                await self.remove(mount["Name"])

    async def remove(self, volume: str) -> None:
        """Remove files that no container has."""
        with suppress(ProviderError):
            await self._volumes.remove(volume)

    async def _make_writer(self, spec: ContainerSpec, name: str, mounts: Sequence[Mount]) -> Mapping[str, Any]:
        """Return a container of the same image and user, which is never started."""
        labels = {key: value for key, value in spec.labels.items() if key != REPLICA}
        body = {
            "Image": spec.image, "User": spec.user, "Entrypoint": ["true"], "Cmd": [],
            "Labels": {**labels, INSTANCE: self._instance, CONTAINER: name},
            "HostConfig": {"NetworkMode": "none", "Mounts": list(map(render_mount, mounts))},
        }  # fmt: skip
        params = {"name": name} | ({"platform": spec.platform} if spec.platform else {})
        with suppress(NameConflict):  # of an attempt that was interrupted
            await self._connection.post(f"create the container {name}", "containers/create", params=params, body=body)
        facts: dict[str, Any] = await self._connection.get("inspect a container", f"containers/{name}/json")
        if not is_ours(self._instance, facts["Name"].removeprefix("/"), facts["Config"]["Labels"] or {}):
            raise RequestRefused(
                f"There is a container {name} that is not the one to be created.", hint="Remove or rename it."
            )
        return facts


def list_sealed(spec: ContainerSpec) -> Sequence[File]:
    """Return the files that cannot be unpacked into the container itself. Pure."""
    if not spec.read_only:
        return ()
    return group_by_mount(spec.files, [mount.path for mount in spec.mounts]).get("/", ())
