"""Decides which address a repository is fetched from, before git or ssh is started.

The name is resolved once, here, and git is pinned to the answer: a name that resolves differently a moment later
cannot lead it to another machine.
"""

import asyncio
from contextlib import suppress

from orca.features.sources.errors import GitHostForbidden, GitHostUnknown, GitHostUnreachable
from orca.features.sources.rules import RepoUrl
from orca.sdk.egress import Address, Unresolved, is_allowed, resolve

_CONNECT_DEADLINE = 10.0


def is_fetchable(address: Address, *, private_networks: bool) -> bool:
    """Whether sources may be fetched from an address, by `sdk.egress`; one setting allows private and loopback."""
    return is_allowed(address, private=private_networks, loopback=private_networks)


async def reach_host(url: RepoUrl, *, private_networks: bool) -> str:
    """Return an address of the host that accepts connections now.

    Raises GitHostUnknown, GitHostForbidden (if any of the addresses is forbidden, even when others are allowed) and
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
    try:
        return await resolve(url.host, url.port)
    except Unresolved:
        raise GitHostUnknown(
            f"The host name {url.host} cannot be resolved.",
            hint="Check the spelling of the repository's address and the DNS of this machine.",
        ) from None
