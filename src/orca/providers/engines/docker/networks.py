"""Orca's networks, and which container has which address in them."""

import asyncio
import json
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from aiodocker.networks import DockerNetwork

from orca.errors import ProviderUnavailable, RequestRefused
from orca.providers.engines.docker.addresses import choose_address, choose_subnet, parse_routes, parse_subnets
from orca.providers.engines.docker.connection import SLOW, DockerConnection
from orca.providers.engines.docker.failures import Clash, Disallowed, NoSuchObject
from orca.providers.engines.docker.labels import INSTANCE
from orca.providers.engines.docker.observe import find_address
from orca.providers.engines.docker.references import check_network_name
from orca.providers.engines.docker.render import render_endpoint, render_network
from orca.sdk.connectors import Command, Connector

_ATTEMPTS = 16


class Networks:
    """The networks of one instance. Callers hold `lock` while they choose an address and use it."""

    def __init__(self, connection: DockerConnection, connector: Connector, instance: str, pool: IPv4Network) -> None:
        self._connection = connection
        self._connector = connector
        self._instance = instance
        self._pool = pool
        self.lock = asyncio.Lock()

    async def ensure(self, name: str) -> IPv4Network:
        """The subnet of a network, which is created if it is missing. Raises RequestRefused for somebody else's."""
        found = await self.find(check_network_name(name)) or await self._create(name)
        if (found.get("Labels") or {}).get(INSTANCE) != self._instance:
            raise RequestRefused(
                f"The network {name} exists and was not created by this Orca.", hint="Choose another name for it."
            )
        return parse_subnets([found])[0]

    async def find(self, name: str) -> dict[str, Any] | None:
        """The network of exactly this name; the older one, should two clients have created it at the same moment."""
        listed = await self._list({"name": [f"^{name}$"]})
        named = sorted((entry["Created"], entry["Id"]) for entry in listed if entry["Name"] == name)
        if not named:
            return None
        network_id = named[0][1]
        try:
            return await self._connection.call(
                f"inspect the network {name}", lambda docker: DockerNetwork(docker, network_id).show()
            )
        except NoSuchObject:
            return None

    async def remove(self, name: str) -> None:
        """Remove a network that no container, running or not, belongs to; one that is gone is no error."""
        found = await self.find(check_network_name(name))
        if found is None:
            return
        if (found.get("Labels") or {}).get(INSTANCE) != self._instance:
            raise RequestRefused(f"The network {name} was not created by this Orca, so it stays.")
        in_use = RequestRefused(f"The network {name} is in use.", hint="Remove the containers that belong to it first.")
        if await self.members(name):
            raise in_use
        try:
            await self._connection.call(
                f"remove the network {name}",
                lambda docker: DockerNetwork(docker, found["Id"]).delete(),
                deadline=SLOW,
            )
        except NoSuchObject:
            return
        except (Clash, Disallowed):
            raise in_use from None

    async def members(self, name: str) -> dict[str, IPv4Address | None]:
        """Container id -> its address in this network; stopped containers keep theirs."""
        containers = await self._connection.call(
            f"list the containers of the network {name}",
            lambda docker: docker.containers.list(all=True, filters=json.dumps({"network": [name]})),
        )
        return {entry["Id"]: find_address(entry["NetworkSettings"]["Networks"], name) for entry in containers}

    async def free_address(self, name: str, subnet: IPv4Network) -> IPv4Address:
        """The lowest address that no container has. Raises RequestRefused when the network is full."""
        taken = [address for address in (await self.members(name)).values() if address]
        address = choose_address(subnet, taken)
        if address is None:
            raise RequestRefused(
                f"The network {name} has no free address.", hint="Remove containers, or use another network."
            )
        return address

    async def move(self, name: str, container_id: str, address: IPv4Address) -> None:
        """Give a container that does not run another address."""
        await self._connection.call(
            "change an address",
            lambda docker: DockerNetwork(docker, name).disconnect({"Container": container_id, "Force": True}),
        )
        await self._connection.call(
            "change an address",
            lambda docker: DockerNetwork(docker, name).connect(
                {"Container": container_id, "EndpointConfig": render_endpoint(address)}
            ),
        )

    async def is_taken(self, name: str, address: IPv4Address) -> bool:
        """Whether a running container has this address now, whoever it belongs to."""
        found = await self.find(name) or {}
        running = (endpoint["IPv4Address"].partition("/")[0] for endpoint in (found.get("Containers") or {}).values())
        return str(address) in running

    async def _create(self, name: str) -> dict[str, Any]:
        used = parse_subnets(await self._list({})) + await self._routes()
        for _ in range(_ATTEMPTS):
            subnet = choose_subnet(self._pool, used)
            if subnet is None:
                raise RequestRefused(
                    f"The address pool {self._pool} is used up: it has no /24 that no network and no route uses.",
                    hint="Remove unused Docker networks, or set a larger address pool.",
                )
            try:
                await self._create_with(name, subnet)
            except Disallowed:
                used.append(subnet)  # somebody was quicker, or uses it in a way that is not listed
            except Clash:
                pass  # the same network was created meanwhile
            if found := await self.find(name):
                return found
        raise ProviderUnavailable(f"No range of addresses could be taken for the network {name}.", hint="Try again.")

    async def _create_with(self, name: str, subnet: IPv4Network) -> None:
        body = render_network(name, {INSTANCE: self._instance}, subnet)
        await self._connection.call(
            f"create the network {name}", lambda docker: docker.networks.create(body), deadline=SLOW
        )

    async def _list(self, filters: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        return await self._connection.call("list networks", lambda docker: docker.networks.list(filters=filters))

    async def _routes(self) -> list[IPv4Network]:
        result = await self._connector.run(Command(("cat", "/proc/net/route"), deadline=10))
        if result.exit_code != 0:
            raise ProviderUnavailable("The routes of the host cannot be read from /proc/net/route.")
        return parse_routes(result.text)
