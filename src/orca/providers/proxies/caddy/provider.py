"""Opens embedded Caddys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import RequestRefused
from orca.providers.proxies.caddy.binary import CaddyBinary, find_binary
from orca.providers.proxies.caddy.config import CaddyConfig
from orca.providers.proxies.caddy.container import ContainerRuntime
from orca.providers.proxies.caddy.docker_cli import DockerCli
from orca.providers.proxies.caddy.edge import Edge
from orca.providers.proxies.caddy.layout import Layout, Program, usable_addresses
from orca.providers.proxies.caddy.process import ProcessRuntime
from orca.providers.proxies.caddy.proxy import CaddyProxy
from orca.providers.proxies.caddy.router import CaddyRouter
from orca.providers.proxies.caddy.runtime import Runtime
from orca.providers.proxies.caddy.validate import Validator
from orca.sdk.connectors import Connector, SupportsLocalFiles


class CaddyProxyProvider:
    """The proxy that comes with Orca."""

    name: ClassVar[str] = "caddy"
    Config: ClassVar[type[BaseModel]] = CaddyConfig

    @asynccontextmanager
    async def open(self, config: BaseModel, connector: Connector) -> AsyncIterator[CaddyProxy]:
        """Return a handle. No process is started or stopped: the proxy's lifetime does not depend on the handle.

        Raises RequestRefused for a system whose files this process does not see: this Caddy is ruled through files.
        """
        if not isinstance(connector, SupportsLocalFiles):
            raise RequestRefused(
                "The Caddy that comes with Orca serves only systems whose files are on Orca's own machine.",
                hint="Choose another proxy for this system.",
            )
        known = CaddyConfig.model_validate(config.model_dump())
        layout, binary = Layout.of(known, await usable_addresses(connector, known.bind)), find_binary()
        edge = Edge(layout, _runtime(known, layout, layout.edge, connector, binary), connector)
        router = CaddyRouter(layout, _runtime(known, layout, layout.router, connector, binary))
        yield CaddyProxy(layout, edge, router, Validator(layout, connector, binary), binary.version, connector)


def _runtime(
    config: CaddyConfig, layout: Layout, program: Program, connector: Connector, binary: CaddyBinary
) -> Runtime:
    if config.mode == "process":
        return ProcessRuntime(layout, program, connector, binary)
    return ContainerRuntime(layout, program, config.instance, DockerCli(connector, config.docker_host), binary)
