"""An engine that runs the images of its container host: nothing real, so that a service is live at once."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import RequestRefused
from orca.sdk.connectors import Connector
from orca.sdk.containers import ContainerHost
from orca.sdk.plans import Change
from orca.sdk.testing.fake_engine import FakeEngine
from orca.sdk.workloads import Progress, Workload
from orca_example.host import ExampleConfig, ExampleHost


class ExampleEngine(FakeEngine):
    """The fake engine of the SDK, on the images of a host."""

    def __init__(self, host: ExampleHost) -> None:
        super().__init__()
        self._host = host

    async def apply(self, changes: Sequence[Change]) -> None:
        """Run what is wanted, as far as its image is on the host now."""
        self.images = set(self._host.images)
        await super().apply(changes)

    async def run_once(self, workload: Workload, *, deadline: float, progress: Progress) -> int:
        """Run it, if its image is on the host now."""
        self.images = set(self._host.images)
        return await super().run_once(workload, deadline=deadline, progress=progress)


class ExampleEngineProvider:
    """Opens the engine on the container host of the same name."""

    name: ClassVar[str] = "example"
    sdk_version: ClassVar[int] = 1
    Config: ClassVar[type[BaseModel]] = ExampleConfig

    @asynccontextmanager
    async def open(
        self, config: BaseModel, connector: Connector, host: ContainerHost | None
    ) -> AsyncIterator[ExampleEngine]:
        """Return an engine. Its replicas end with it, as those of no real engine do."""
        del config, connector
        if not isinstance(host, ExampleHost):
            raise RequestRefused("This engine runs on no other container host.", hint="Use both by the name `example`.")
        yield ExampleEngine(host)
