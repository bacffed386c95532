"""Images on the engine."""

import json
from collections.abc import Mapping

from orca.errors import RequestRefused
from orca.providers.engines.docker.connection import DockerConnection, look_at_each
from orca.providers.engines.docker.failures import Clash, NoSuchObject
from orca.providers.engines.docker.labels import INSTANCE, label_filters
from orca.providers.engines.docker.observe import read_image
from orca.providers.engines.docker.references import check_image
from orca.sdk.engines import Image


class Images:
    """What is there, and taking it away."""

    def __init__(self, connection: DockerConnection, instance: str) -> None:
        self._connection = connection
        self._instance = instance

    async def find(self, reference: str) -> Image | None:
        """By id, tag or digest."""
        try:
            facts = await self._connection.get("inspect an image", f"images/{check_image(reference)}/json")
        except NoSuchObject:
            return None
        return read_image(facts, reference)

    async def require(self, reference: str) -> Image:
        """As `find`; raises RequestRefused when it is missing."""
        image = await self.find(reference)
        if image is None:
            raise RequestRefused(f"The image {reference} is not on the engine.", hint="Build or pull it again.")
        return image

    async def list(self, labels: Mapping[str, str]) -> list[Image]:
        """Those of this instance with these labels."""
        filters = {"label": [f"{INSTANCE}={self._instance}", *label_filters(labels)]}
        listed = await self._connection.get("list images", "images/json", params={"filters": json.dumps(filters)})
        found = await look_at_each([entry["Id"] for entry in listed], self.find)
        return [image for image in found if image]

    async def remove(self, reference: str) -> bool:
        """False when it is in use or gone."""
        check_image(reference)
        try:
            await self._connection.delete("remove an image", f"images/{reference}")
        except (NoSuchObject, Clash):
            return False
        return True
