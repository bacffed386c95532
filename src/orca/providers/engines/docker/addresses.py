"""Choose the addresses of networks and containers. Pure.

A network is a /24: the gateway is .1, Docker assigns .2 to .7 itself (to containers that a person attaches by hand),
and Orca assigns .10 and up, so that the two ranges never collide.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

_FIRST, _LAST = 10, 254
_AUTOMATIC_PREFIX = 29
_DESTINATION, _MASK = 1, 7
"""Columns of /proc/net/route."""


def choose_subnet(pool: IPv4Network, taken: Iterable[IPv4Network]) -> IPv4Network | None:
    """Return the first /24 of the pool that overlaps no taken network; None when all are in use."""
    taken = [network for network in taken if network.overlaps(pool)]
    free = (subnet for subnet in pool.subnets(new_prefix=24) if not any(subnet.overlaps(network) for network in taken))
    return next(free, None)


def automatic_range(subnet: IPv4Network) -> IPv4Network:
    """The part of a network from which Docker assigns addresses itself."""
    return next(subnet.subnets(new_prefix=_AUTOMATIC_PREFIX))


def gateway(subnet: IPv4Network) -> IPv4Address:
    """The host's own address in a network."""
    return subnet.network_address + 1


def choose_address(subnet: IPv4Network, taken: Iterable[IPv4Address]) -> IPv4Address | None:
    """Return the lowest free address for a container in a network; None when the network is full."""
    taken = set(taken)
    candidates = (subnet.network_address + number for number in range(_FIRST, _LAST + 1))
    return next((address for address in candidates if address in subnet and address not in taken), None)


def parse_routes(table: str) -> list[IPv4Network]:
    """Parse /proc/net/route (hexadecimal, least significant byte first) into networks, without the default route."""
    networks = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        destination, mask = (IPv4Address(bytes.fromhex(fields[column])[::-1]) for column in (_DESTINATION, _MASK))
        if int(mask):
            networks.append(IPv4Network(f"{destination}/{mask}", strict=False))
    return networks


def parse_subnets(networks: Iterable[dict[str, object]]) -> list[IPv4Network]:
    """Return the IPv4 subnets in the engine's list of networks."""
    found = []
    for network in networks:
        ipam = network.get("IPAM")
        configs = (ipam.get("Config") or []) if isinstance(ipam, dict) else []
        subnets = (config.get("Subnet", "") for config in configs)
        found += [IPv4Network(subnet, strict=False) for subnet in subnets if "." in subnet]
    return found
