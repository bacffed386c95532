"""A container host whose images outlive the process, as files in the folder of the engine."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orca.sdk.builders import BuiltImage
from orca.sdk.connectors import Connector
from orca.sdk.testing.fake_host import FakeHost


class ExampleConfig(BaseModel):
    """The configuration of host, engine and builder; Orca fills the fields whose names it knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path = Field(description="Folder of the images. Orca names one in its data directory.")


class ExampleHost(FakeHost):
    """The fake host of the SDK, with images that are kept."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        for path in folder.glob("*.json"):
            stored = json.loads(path.read_text(encoding="utf-8"))
            self._add(BuiltImage(stored["id"], stored["tag"], stored["size_bytes"]), stored["labels"])

    def keep(self, image: BuiltImage, labels: dict[str, str]) -> None:
        """Store an image that was built."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stored = {"id": image.id, "tag": image.tag, "size_bytes": image.size_bytes, "labels": labels}
        self._path(image.id).write_text(json.dumps(stored), encoding="utf-8")
        self._add(image, labels)

    async def remove_image(self, reference: str) -> bool:
        """Remove the file, too."""
        image = await self.find_image(reference)
        is_removed = await super().remove_image(reference)
        if is_removed and image is not None:
            self._path(image.id).unlink(missing_ok=True)
        return is_removed

    def _add(self, image: BuiltImage, labels: dict[str, str]) -> None:
        self.add_image(image.id, tags=(image.tag,), size_bytes=image.size_bytes, labels=labels)

    def _path(self, image_id: str) -> Path:
        return self._folder / f"{image_id.removeprefix('sha256:')}.json"


@cache
def host_in(folder: Path) -> ExampleHost:
    """Return the host of a folder: one in each process, which engine and builder share."""
    return ExampleHost(folder)


class ExampleHostProvider:
    """Opens the host of the folder in the configuration."""

    name: ClassVar[str] = "example"
    sdk_version: ClassVar[int] = 1
    Config: ClassVar[type[BaseModel]] = ExampleConfig

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[ExampleHost]:
        """Return the host; there is nothing to connect to."""
        del connector
        yield host_in(ExampleConfig.model_validate(config.model_dump()).data_dir)
