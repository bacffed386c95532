"""Orca's networks, and the addresses of containers in them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from orca.errors import ProviderUnavailable, RequestRefused
from orca.providers.engines.docker.addresses import choose_address, choose_subnet, parse_routes, parse_subnets
from orca.providers.engines.docker.connection import QUICK, DockerConnection
from orca.providers.engines.docker.failures import NameConflict, NoSuchObject, NotPermitted
from orca.providers.engines.docker.labels import INSTANCE
from orca.providers.engines.docker.observe import find_address, read_instant
from orca.providers.engines.docker.references import check_network_name
from orca.providers.engines.docker.render import render_endpoint, render_network
from orca.sdk.connectors import Command, Connector

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_ATTEMPTS = 16
_PATIENCE, _POLL = 2.0, 0.1
"""Seconds to wait for a network that another client is creating, and between two polls."""


class Networks:
    """The networks of one instance. Callers hold `lock` while they choose an address and use it."""

    def __init__(self, connection: DockerConnection, connector: Connector, instance: str, pool: IPv4Network) -> None:
        self._connection = connection
        self.connector = connector
        self._instance = instance
        self._pool = pool
        self.lock = asyncio.Lock()

    async def ensure(self, name: str) -> IPv4Network:
        """Return the subnet of a network, created if missing. Raises RequestRefused if the network is not ours."""
        check_network_name(name)
        known = await self._list()
        found = _first_of(known, name) or await self._create(name, known)
        if (found.get("Labels") or {}).get(INSTANCE) != self._instance:
            raise RequestRefused(
                f"The network {name} exists and was not created by this Orca.", hint="Choose another name for it."
            )
        return parse_subnets([found])[0]

    async def find(self, name: str) -> dict[str, Any] | None:
        """Inspect the network of this name, with its running containers."""
        listed = _first_of(await self._list(), name)
        if listed is None:
            return None
        try:
            facts: dict[str, Any] = await self._connection.get(
                f"inspect the network {name}", f"networks/{listed['Id']}"
            )
        except NoSuchObject:
            return None
        return facts

    async def remove(self, name: str) -> None:
        """Remove a network that no container, running or not, belongs to. No error if it is gone."""
        found = await self.find(check_network_name(name))
        if found is None:
            return
        if (found.get("Labels") or {}).get(INSTANCE) != self._instance:
            raise RequestRefused(f"The network {name} was not created by this Orca, so it stays.")
        in_use = RequestRefused(f"The network {name} is in use.", hint="Remove the containers that belong to it first.")
        if await self.members(name):
            raise in_use
        try:
            await self._connection.delete(f"remove the network {name}", f"networks/{found['Id']}")
        except NoSuchObject:
            return
        except (NameConflict, NotPermitted):
            raise in_use from None

    async def members(self, name: str) -> dict[str, IPv4Address | None]:
        """Return addresses in this network by container id; stopped containers still hold theirs."""
        containers = await self._connection.get(
            f"list the containers of the network {name}", "containers/json",
            params={"all": "true", "filters": json.dumps({"network": [name]})},
        )  # fmt: skip
        return {entry["Id"]: find_address(entry["NetworkSettings"]["Networks"], name) for entry in containers}

    async def free_address(self, name: str, subnet: IPv4Network) -> IPv4Address:
        """Return the lowest free address. Raises RequestRefused when the network is full."""
        taken = [address for address in (await self.members(name)).values() if address]
        address = choose_address(subnet, taken)
        if address is None:
            raise RequestRefused(
                f"The network {name} has no free address.", hint="Remove containers, or use another network."
            )
        return address

    async def move(self, name: str, container_id: str, address: IPv4Address, aliases: Sequence[str] = ()) -> None:
        """Change the address of a container that does not run."""
        doing, path = "change an address", f"networks/{name}"
        leave = {"Container": container_id, "Force": True}
        await self._connection.post(doing, f"{path}/disconnect", body=leave, deadline=QUICK)
        await self.connect(name, container_id, render_endpoint(address, aliases))

    async def connect(self, name: str, container_id: str, endpoint: Mapping[str, Any]) -> None:
        """Add a container that does not run to a network."""
        enter = {"Container": container_id, "EndpointConfig": endpoint}
        await self._connection.post("join a network", f"networks/{name}/connect", body=enter, deadline=QUICK)

    async def is_taken(self, name: str, address: IPv4Address) -> bool:
        """Whether any running container, ours or not, has this address now."""
        found = await self.find(name) or {}
        running = (endpoint["IPv4Address"].partition("/")[0] for endpoint in (found.get("Containers") or {}).values())
        return str(address) in running

    async def _create(self, name: str, known: list[dict[str, Any]]) -> dict[str, Any]:
        """Docker lets two clients create networks of one name at the same moment, but never of one subnet.

        So two clients that create the same network from the same list choose the same subnet. The one that comes
        second waits for the other's network to appear before it tries another subnet.
        """
        used = parse_subnets(known)
        expected = choose_subnet(self._pool, used)
        used += await self._routes()
        if choose_subnet(self._pool, used) != expected and (found := await self._await_other(name)):
            return found  # the route belonged to this network, which was not yet listed
        for _ in range(_ATTEMPTS):
            subnet = choose_subnet(self._pool, used)
            if subnet is None:
                raise RequestRefused(
                    f"The address pool {self._pool} is used up: it has no /24 that no network and no route uses.",
                    hint="Remove unused Docker networks, or set a larger address pool.",
                )
            try:
                return await self._create_with(name, subnet)
            except NotPermitted:
                used.append(subnet)
            except NameConflict:
                pass
            if found := await self._await_other(name):
                return found
        raise ProviderUnavailable(f"No range of addresses could be taken for the network {name}.", hint="Try again.")

    async def _create_with(self, name: str, subnet: IPv4Network) -> dict[str, Any]:
        body = render_network(name, {INSTANCE: self._instance}, subnet)
        created = await self._connection.post(f"create the network {name}", "networks/create", body=body)
        first = _first_of(await self._list(), name)
        if first is None:
            raise ProviderUnavailable(f"The network {name} vanished while it was created.", hint="Try again.")
        if first["Id"] != created["Id"]:
            await self._connection.delete("remove a network that exists twice", f"networks/{created['Id']}")
        return first

    async def _await_other(self, name: str) -> dict[str, Any] | None:
        """Wait for the network, which another client may be creating at this moment."""
        for _ in range(round(_PATIENCE / _POLL)):
            if found := _first_of(await self._list(), name):
                return found
            await asyncio.sleep(_POLL)
        return None

    async def _list(self) -> list[dict[str, Any]]:
        networks: list[dict[str, Any]] = await self._connection.get("list networks", "networks")
        return networks

    async def _routes(self) -> list[IPv4Network]:
        result = await self.connector.run(Command(("cat", "/proc/net/route"), deadline=10))
        if result.exit_code != 0:
            raise ProviderUnavailable("The routes of the host cannot be read from /proc/net/route.")
        return parse_routes(result.text)


def _first_of(networks: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    """Return the network of exactly this name, the oldest if there are two."""
    named = [network for network in networks if network["Name"] == name]
    return min(named, key=lambda network: (read_instant(network["Created"]) or _LONG_AGO, network["Id"]), default=None)
