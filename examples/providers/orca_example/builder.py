"""A builder of trees that have a `fake.build`: the script of the SDK's fake builder."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from orca.sdk.builders import BuildRequest, BuiltImage, Detection, Log
from orca.sdk.connectors import Connector
from orca.sdk.testing.builders import FakeBuilder
from orca_example.host import ExampleConfig, ExampleHost, host_in


class ExampleBuilder(FakeBuilder):
    """The fake builder of the SDK; its images are on the example host."""

    def __init__(self, host: ExampleHost) -> None:
        super().__init__()
        self._host = host

    async def detect(self, tree: Path, options: Mapping[str, str] | None = None) -> Detection | None:
        """Recognise the script."""
        found = await super().detect(tree, options)
        return replace(found, builder=ExampleBuilderProvider.name, summary="An example") if found else None

    async def build(self, request: BuildRequest, log: Log) -> BuiltImage:
        """Follow the script, and store the image."""
        image = await super().build(request, log)
        self._host.keep(image, dict(request.labels))
        return image


class ExampleBuilderProvider:
    """Opens builders for the host of the folder in the configuration."""

    name: ClassVar[str] = "example"
    sdk_version: ClassVar[int] = 1
    Config: ClassVar[type[BaseModel]] = ExampleConfig
    order: ClassVar[int] = 1
    """Before all built-in ones: a tree with a `fake.build` is meant for it, whatever else it has."""

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[ExampleBuilder]:
        """Return a builder; there is nothing to connect to."""
        del connector
        yield ExampleBuilder(host_in(ExampleConfig.model_validate(config.model_dump()).data_dir))
