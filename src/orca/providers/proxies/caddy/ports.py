"""Finds the process that holds a port of the proxy, before Caddy fails to bind it or, worse, silently shares it."""

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from orca.errors import RequestRefused
from orca.kit.ports import find_free
from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.connectors import Connector, OpenSocket, SupportsSockets

Address = IPv4Address | IPv6Address
_PRIVATE_PORTS = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A listening socket."""

    address: Address
    port: int
    protocol: str
    pid: int | None
    holder: str


async def check_ports(connector: Connector, layout: Layout, own_pids: Collection[int]) -> None:
    """Raise RequestRefused with the name of the process, other than our own, that holds a port of the system."""
    taken = await list_listeners(connector)
    found = find_holder(layout, (listener for listener in taken if listener.pid not in own_pids))
    if found is None:
        return
    setting = "ORC_PROXY_HTTP_PORT" if found.port == layout.http_port else "ORC_PROXY_HTTPS_PORT"
    other = find_free(found.port, {listener.port for listener in taken})
    raise RequestRefused(
        f"Port {found.port}/{found.protocol} is taken by {found.holder} (listening on {found.address}).",
        hint=f"Stop it, or give the proxy another port, for example {setting}={other}, which is free.",
        port=found.port,
    )


def find_holder(layout: Layout, taken: Iterable[ListeningSocket]) -> ListeningSocket | None:
    """Return the first of `taken` that conflicts with the proxy's ports. Pure."""
    wanted = {("tcp", layout.http_port), ("tcp", layout.https_port), ("udp", layout.https_port)}
    for listener in taken:
        if (listener.protocol, listener.port) in wanted and any(
            _overlap(address, listener.address) for address in layout.addresses
        ):
            return listener
    return None


async def list_listeners(connector: Connector) -> list[ListeningSocket]:
    """Return the sockets of the system that accept connections or packets from any peer, as far as they are known."""
    found = (await connector.list_sockets() if isinstance(connector, SupportsSockets) else None) or []
    return [
        ListeningSocket(ip_address(socket.address), socket.port, socket.protocol, socket.pid, _describe(socket))
        for socket in found
        if socket.is_listening
    ]


async def choose_port(connector: Connector) -> int:
    """Return a port of the system on which nothing listens, outside the range that the kernel chooses from."""
    taken = {listener.port for listener in await list_listeners(connector)}
    return secrets.choice([port for port in _PRIVATE_PORTS if port not in taken])


def _describe(holder: OpenSocket) -> str:
    if holder.pid is None:
        return "a process of another user"
    return f"{holder.process} (process {holder.pid})" if holder.process else f"process {holder.pid}"


def _overlap(ours: Address, theirs: Address) -> bool:
    if isinstance(theirs, IPv6Address) and theirs.ipv4_mapped:
        theirs = theirs.ipv4_mapped
    if theirs == IPv6Address("::"):
        return True  # usually also accepts IPv4
    if ours.version != theirs.version:
        return False
    return ours == theirs or ours.is_unspecified or theirs.is_unspecified
