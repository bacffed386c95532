"""Images on the engine."""

import json
from collections.abc import Mapping

from orca.errors import RequestRefused
from orca.providers.engines.docker.connection import DockerConnection, gather_limited
from orca.providers.engines.docker.failures import NameConflict, NoSuchObject
from orca.providers.engines.docker.labels import INSTANCE, label_filters
from orca.providers.engines.docker.observe import read_image
from orca.providers.engines.docker.references import check_image
from orca.providers.engines.docker.usage import read_usage
from orca.sdk.containers import Image


class Images:
    """Finds, lists, measures and removes images."""

    def __init__(self, connection: DockerConnection, instance: str) -> None:
        self._connection = connection
        self._instance = instance

    async def find(self, reference: str) -> Image | None:
        """Find an image by id, tag or digest."""
        try:
            facts = await self._connection.get("inspect an image", f"images/{check_image(reference)}/json")
        except NoSuchObject:
            return None
        return read_image(facts, reference)

    async def require(self, reference: str) -> Image:
        """Like `find`, but raises RequestRefused when the image is missing."""
        image = await self.find(reference)
        if image is None:
            raise RequestRefused(f"The image {reference} is not on the engine.", hint="Build or pull it again.")
        return image

    async def list(self, labels: Mapping[str, str]) -> list[Image]:
        """Return the images of this instance with these labels."""
        filters = {"label": [f"{INSTANCE}={self._instance}", *label_filters(labels)]}
        listed = await self._connection.get("list images", "images/json", params={"filters": json.dumps(filters)})
        found = await gather_limited([entry["Id"] for entry in listed], self.find)
        return [image for image in found if image]

    async def measure(self) -> dict[str, int]:
        """Return the unshared bytes of each image by id. Engines before API 1.42 also measure everything else."""
        answer = await read_usage(self._connection, "measure images", "image")
        found = answer.get("Images") or ()
        return {image["Id"]: max(int(image["Size"]) - max(int(image["SharedSize"]), 0), 0) for image in found}

    async def remove(self, reference: str) -> bool:
        """Remove an image; False when it is in use or gone."""
        check_image(reference)
        try:
            await self._connection.delete("remove an image", f"images/{reference}")
        except (NoSuchObject, NameConflict):
            return False
        return True
