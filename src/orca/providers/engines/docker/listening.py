"""Reads from the kernel's tables on which ports the processes of a container listen."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from orca.errors import OrcaError
from orca.providers.engines.docker.execs import Execs
from orca.providers.engines.docker.observe import HOST_NETWORK
from orca.sdk.connectors import Command, Connector
from orca.sdk.workloads import Listener

_SECONDS = 3.0
_LISTENS = "0A"
_RESOLVER = IPv4Address("127.0.0.11")
"""Docker's own name server, inside each container."""
_WORD = 8
_MOST_LINES = 20_000


class Listeners:
    """Inspects one engine's containers, from the host where that works, else from inside the container."""

    def __init__(self, connector: Connector, execs: Execs) -> None:
        self._connector = connector
        self._execs = execs

    async def find(self, facts: dict[str, Any]) -> list[Listener] | None:
        """Return the listeners by port; None when the tables could not be read, or are those of the whole machine."""
        pid = facts["State"]["Pid"]
        if not pid or facts["HostConfig"]["NetworkMode"] == HOST_NETWORK:
            return None
        tables = ("net/tcp", "net/tcp6")
        try:
            command = Command(("cat", *(f"/proc/{pid}/{table}" for table in tables)), deadline=_SECONDS)
            result = await self._connector.run(command)
            if b"local_address" not in result.stdout:  # readable by root only, or not the engine's machine
                result = await self._execs.run(facts["Id"], ("cat", "/proc/net/tcp", "/proc/net/tcp6"), _SECONDS)
        except OrcaError:
            return None
        return parse_tables(result.text) if b"local_address" in result.stdout else None


def parse_tables(text: str) -> list[Listener]:
    """Parse the kernel's tables into listeners by port. Pure."""
    return sorted(set(_read(text)), key=lambda socket: (socket.port, socket.is_loopback))


def _read(text: str) -> Iterator[Listener]:
    for line in text.splitlines()[:_MOST_LINES]:
        columns = line.split()
        if len(columns) < 4 or columns[3] != _LISTENS:  # noqa: PLR2004 - sl, local, remote, state
            continue
        address, _, port = columns[1].partition(":")
        try:
            local = _address(address)
            number = int(port, 16)
        except ValueError:
            continue
        if local != _RESOLVER:
            yield Listener(number, is_loopback=local.is_loopback)


def _address(text: str) -> IPv4Address | IPv6Address:
    """Parse an address: words of four bytes, each little-endian, the byte order of the supported machines."""
    raw = b"".join(bytes.fromhex(text[at : at + _WORD])[::-1] for at in range(0, len(text), _WORD))
    if len(raw) == 4:  # noqa: PLR2004 - bytes
        return IPv4Address(raw)
    address = IPv6Address(raw)
    return address.ipv4_mapped or address
