"""Decides which address a repository is fetched from, before git or ssh is started.

The name is resolved once, here, and git is pinned to the answer: a name that resolves differently a moment later
cannot lead it to another machine.
"""

import asyncio
import ipaddress
import socket
from contextlib import suppress

from orca.features.sources.errors import GitHostForbidden, GitHostUnknown, GitHostUnreachable
from orca.features.sources.rules import RepoUrl

_CONNECT_DEADLINE = 10.0

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_fetchable(address: Address, *, private_networks: bool) -> bool:
    """Whether sources may come from an address. Link-local ones (cloud metadata), multicast and such: never."""
    plain = (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
    if plain.is_link_local or plain.is_multicast or plain.is_unspecified:
        return False
    if plain.is_reserved and not plain.is_loopback:
        return False
    return plain.is_global or private_networks


async def reach_host(url: RepoUrl, *, private_networks: bool) -> str:
    """The address of the host that accepts connections now.

    Raises GitHostUnknown, GitHostForbidden (if any answer is forbidden, so that a mixed one hides nothing) and
    GitHostUnreachable.
    """
    addresses = await _resolve(url)
    for address in addresses:
        if not is_fetchable(address, private_networks=private_networks):
            raise GitHostForbidden(
                f"{url.host} is at {address}, an address Orca does not fetch sources from.",
                hint=_way_to(address),
            )
    for address in addresses:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CONNECT_DEADLINE):
                _, writer = await asyncio.open_connection(str(address), url.port)
            writer.close()
            return str(address)
    raise GitHostUnreachable(
        f"{url.host} does not accept connections on port {url.port}.",
        hint="Check the address and port, and that this machine may connect to it; then try again.",
    )


def _way_to(address: Address) -> str:
    if is_fetchable(address, private_networks=True):
        return "Use a public host, or set ORC_GIT_PRIVATE_NETWORKS=true where its own networks are trusted."
    return "Use a host with an ordinary address; sources never come from this one."


async def _resolve(url: RepoUrl) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_CONNECT_DEADLINE):
            answers = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        raise GitHostUnknown(
            f"The host name {url.host} cannot be resolved.",
            hint="Check the spelling of the repository's address and the DNS of this machine.",
        ) from None
    return list(dict.fromkeys(ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers))
