"""Named volumes: created when missing, and only ever destroyed by `remove`."""

import json
from collections.abc import Mapping
from typing import Any

from orca.errors import RequestRefused
from orca.providers.engines.docker.connection import DockerConnection
from orca.providers.engines.docker.failures import NameConflict, NoSuchObject
from orca.providers.engines.docker.labels import FILES, INSTANCE, label_filters
from orca.providers.engines.docker.references import check_name


class Volumes:
    """The volumes of one instance."""

    def __init__(self, connection: DockerConnection, instance: str) -> None:
        self._connection = connection
        self._instance = instance

    async def ensure(self, name: str, labels: Mapping[str, str]) -> None:
        """Create the volume if it is missing, with the labels of the container that needs it first.

        Raises RequestRefused for a volume that is not ours: mounting it would expose its data.
        """
        found = await self._find(check_name(name))
        if found is None:
            body = {"Name": name, "Labels": {**labels, INSTANCE: self._instance}}
            await self._connection.post(f"create the volume {name}", "volumes/create", body=body)
            found = await self._find(name)
        if found is None or not self._is_ours(found):
            raise RequestRefused(
                f"The volume {name} exists and was not created by this Orca.", hint="Choose another name for it."
            )

    async def list(self, labels: Mapping[str, str]) -> list[str]:
        """Return the names of our volumes with these labels, without those that only hold files of a container."""
        filters = {"label": [f"{INSTANCE}={self._instance}", *label_filters(labels)]}
        answer = await self._connection.get("list volumes", "volumes", params={"filters": json.dumps(filters)})
        return sorted(volume["Name"] for volume in answer["Volumes"] or () if FILES not in (volume["Labels"] or {}))

    async def remove(self, name: str) -> None:
        """Destroy a volume. No error if it is gone."""
        found = await self._find(check_name(name))
        if found is None:
            return
        if not self._is_ours(found):
            raise RequestRefused(f"The volume {name} was not created by this Orca, so it stays.")
        try:
            await self._connection.delete(f"remove the volume {name}", f"volumes/{name}")
        except NoSuchObject:
            return
        except NameConflict:
            raise RequestRefused(
                f"The volume {name} is in use.", hint="Remove the containers that mount it first."
            ) from None

    async def find_folder(self, name: str) -> str:
        """Return the volume's path on the engine's machine; empty when the volume is gone or is not a folder."""
        found = await self._find(check_name(name))
        return str(found.get("Mountpoint") or "") if found and self._is_ours(found) else ""

    async def _find(self, name: str) -> dict[str, Any] | None:
        try:
            facts: dict[str, Any] = await self._connection.get(f"inspect the volume {name}", f"volumes/{name}")
        except NoSuchObject:
            return None
        return facts

    def _is_ours(self, volume: Mapping[str, Any]) -> bool:
        return bool((volume.get("Labels") or {}).get(INSTANCE) == self._instance)
