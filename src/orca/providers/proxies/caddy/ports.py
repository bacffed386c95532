"""Finds the process that holds a port of the proxy, before Caddy fails to bind it or, worse, silently shares it."""

import socket
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import psutil

from orca.errors import RequestRefused
from orca.kit.ports import find_free
from orca.providers.proxies.caddy.layout import Layout

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket."""

    address: Address
    port: int
    protocol: str
    pid: int | None
    holder: str


def check_ports(layout: Layout, own_pids: Collection[int]) -> None:
    """Raise RequestRefused with the name of the process, other than our own, that holds a port.

    Reads all of /proc: call it in a thread.
    """
    taken = listeners()
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


def find_holder(layout: Layout, taken: Iterable[Listener]) -> Listener | None:
    """Return the first of `taken` that conflicts with the proxy's ports. Pure."""
    wanted = {("tcp", layout.http_port), ("tcp", layout.https_port), ("udp", layout.https_port)}
    for listener in taken:
        if (listener.protocol, listener.port) in wanted and any(
            _overlap(address, listener.address) for address in layout.addresses
        ):
            return listener
    return None


def listeners() -> list[Listener]:
    """Return every TCP and UDP socket of this machine that accepts connections or packets from any peer."""
    names: dict[int, str] = {}
    found = []
    for connection in psutil.net_connections("inet"):
        is_tcp = connection.type == socket.SOCK_STREAM
        if not connection.laddr or connection.raddr or (is_tcp and connection.status != psutil.CONN_LISTEN):
            continue
        address = ip_address(connection.laddr.ip.partition("%")[0])
        holder = _describe(connection.pid, names)
        protocol = "tcp" if is_tcp else "udp"
        found.append(Listener(address, connection.laddr.port, protocol, connection.pid, holder))
    return found


def _describe(pid: int | None, names: dict[int, str]) -> str:
    if pid is None:
        return "a process of another user"
    if pid not in names:
        try:
            names[pid] = f"{psutil.Process(pid).name()} (process {pid})"
        except psutil.Error:
            names[pid] = f"process {pid}"
    return names[pid]


def _overlap(ours: Address, theirs: Address) -> bool:
    if isinstance(theirs, IPv6Address) and theirs.ipv4_mapped:
        theirs = theirs.ipv4_mapped
    if theirs == IPv6Address("::"):
        return True  # usually also accepts IPv4
    if ours.version != theirs.version:
        return False
    return ours == theirs or ours.is_unspecified or theirs.is_unspecified
