"""The client's address of a request: forwarded headers are trusted from configured proxies only."""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.requests import HTTPConnection

from orca.settings import Settings

Address = IPv4Address | IPv6Address


def peer_of(connection: HTTPConnection, settings: Settings) -> str | None:
    """Return the client's address, None on the unix socket; behind trusted proxies, the rightmost other hop."""
    socket_peer = _parse(connection.client.host) if connection.client else None
    if socket_peer is None:
        return None
    hops = [part for value in connection.headers.getlist("x-forwarded-for") for part in value.split(",")]
    return str(choose_peer(socket_peer, hops, settings.trusted_proxies))


def choose_peer(socket_peer: Address, hops: Sequence[str], trusted: Collection[str]) -> Address:
    """Walk from the socket towards the client, past the hops of trusted proxies."""
    networks = [ip_network(range_) for range_ in trusted]
    peer = socket_peer
    for hop in reversed(hops):
        if not any(peer in network for network in networks):
            return peer
        named = _parse(hop)
        if named is None:
            return peer
        peer = named
    return peer


def _parse(text: str) -> Address | None:
    try:
        address = ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
