"""Which addresses networks and containers get. Pure.

A network is a /24: the gateway is .1, Docker hands out .2 to .7 by itself (to what a person attaches by hand), and
Orca gives .10 and up, so that neither ever takes the other's.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

_FIRST, _LAST = 10, 254
_AUTOMATIC_PREFIX = 29
_DESTINATION, _MASK = 1, 7
"""Columns of /proc/net/route."""


def choose_subnet(pool: IPv4Network, taken: Iterable[IPv4Network]) -> IPv4Network | None:
    """The first /24 of the pool that overlaps nothing; None when all are in use."""
    taken = [network for network in taken if network.overlaps(pool)]
    free = (subnet for subnet in pool.subnets(new_prefix=24) if not any(subnet.overlaps(network) for network in taken))
    return next(free, None)


def automatic_range(subnet: IPv4Network) -> IPv4Network:
    """The part of a network that is left to Docker."""
    return next(subnet.subnets(new_prefix=_AUTOMATIC_PREFIX))


def gateway(subnet: IPv4Network) -> IPv4Address:
    """The host's own address in a network."""
    return subnet.network_address + 1


def choose_address(subnet: IPv4Network, taken: Iterable[IPv4Address]) -> IPv4Address | None:
    """The lowest address of a network that no container has; None when it is full."""
    taken = set(taken)
    candidates = (subnet.network_address + number for number in range(_FIRST, _LAST + 1))
    return next((address for address in candidates if address in subnet and address not in taken), None)


def parse_routes(table: str) -> list[IPv4Network]:
    """The networks in the text of /proc/net/route (hexadecimal, least significant byte first), without the default."""
    networks = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        destination, mask = (IPv4Address(bytes.fromhex(fields[column])[::-1]) for column in (_DESTINATION, _MASK))
        if int(mask):
            networks.append(IPv4Network(f"{destination}/{mask}", strict=False))
    return networks


def parse_subnets(networks: Iterable[dict[str, object]]) -> list[IPv4Network]:
    """The IPv4 ranges of what the engine lists as networks."""
    found = []
    for network in networks:
        ipam = network.get("IPAM")
        configs = (ipam.get("Config") or []) if isinstance(ipam, dict) else []
        subnets = (config.get("Subnet", "") for config in configs)
        found += [IPv4Network(subnet, strict=False) for subnet in subnets if "." in subnet]
    return found
