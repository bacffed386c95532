"""A proxy that writes its routes to a file, where anything could read them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from orca.sdk.connectors import Connector
from orca.sdk.proxies import ProxyConfig
from orca.sdk.testing.fake_proxy import FakeProxy

ROUTES = "routes.json"


class ExampleProxyConfig(BaseModel):
    """Orca fills the field, as it knows its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path = Field(description="Folder of the file with the routes.")


@dataclass
class ExampleProxy(FakeProxy):
    """The fake proxy of the SDK; what it serves is also in a file: hostname and path -> upstreams."""

    folder: Path = field(default_factory=Path)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def apply(self, desired: ProxyConfig) -> None:
        """Check the routes, then write the file; one change at a time."""
        routes = {f"{each.hostname}{each.path_prefix}": [*map(str, each.upstreams)] for each in desired.routes}
        async with self._turn:
            await super().apply(desired)
            await asyncio.to_thread(self._write, json.dumps(routes, indent=2))

    def _write(self, text: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.folder / f"{ROUTES}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(self.folder / ROUTES)


class ExampleProxyProvider:
    """Opens the proxy of the folder in the configuration."""

    name: ClassVar[str] = "example"
    sdk_version: ClassVar[int] = 1
    Config: ClassVar[type[BaseModel]] = ExampleProxyConfig

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[ExampleProxy]:
        """Return a proxy that does not run yet."""
        del connector
        yield ExampleProxy(folder=ExampleProxyConfig.model_validate(config.model_dump()).data_dir)
