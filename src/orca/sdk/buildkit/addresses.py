"""Keeps ADD from fetching what only this machine can reach: its own loopback services, and the cloud's metadata.

The engine itself fetches what ADD names, on the machine's network and not on a container's, and the answer ends up in
an image that its owner can read. A name is looked up once more by the engine, and redirects are followed there, so
this stops mistakes and the plain ways, not somebody who controls a web server and its name.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from orca.sdk.buildkit.dockerfile import Instruction, Resolved
from orca.sdk.buildkit.errors import AddressForbidden

LookUp = Callable[[str], Awaitable[list[str]]]
"""Host name -> addresses."""

_LOOKUP_DEADLINE = 5.0
_QUOTING = str.maketrans("", "", "\"'\\`")
_IS_REMOTE = re.compile(r"[a-z][a-z0-9+.-]{0,20}://|[a-z0-9_.-]{1,60}@[^/:]*:")
_BEGINNINGS = ("http://", "https://", "git://", "ssh://", "ftp://", "git@")
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#]*@)?(?P<host>\[[^\]/?#]*\]|[^:/?#]*)(?::\d*)?(?=[:/?#]|$)")
_PLAIN = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")
_THIS_MACHINE = re.compile(r"(?:.*\.)?localhost|(?:host|gateway)\.docker\.internal|(?:.*\.)?metadata\.google\.internal")
_METADATA = {ip_address(text) for text in ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")}


async def check_addresses(resolved: Resolved, look_up: LookUp | None = None) -> None:
    """Raises AddressForbidden for an ADD from an address that is this machine's alone, or that cannot be made out."""
    for stage in resolved.stages:
        for instruction in stage.instructions:
            source = instruction.source
            await check_instruction(source.effective, f"Dockerfile line {source.line}", look_up)


async def check_instruction(instruction: Instruction, place: str, look_up: LookUp | None = None) -> None:
    """The same for one instruction; `place` says where it stands."""
    for host in find_hosts(instruction, place):
        found = await (look_up or _look_up)(host) if is_allowed(host) else [host]
        if not all(is_allowed(address) for address in found):
            raise _forbidden(place, f"{host} is this machine itself or its cloud's metadata")


def find_hosts(instruction: Instruction, place: str) -> Iterator[str]:
    """The hosts that an ADD fetches from. Pure; AddressForbidden for one that variables or odd characters hide."""
    if instruction.keyword != "ADD":
        return
    for word in instruction.words[:-1]:
        source = word.translate(_QUOTING).lower()
        before, variable, _ = source.partition("$")
        if not _IS_REMOTE.match(source):
            if variable and any(begin.startswith(before) for begin in _BEGINNINGS):
                raise _forbidden(place, f"{word} may become any address; begin it with ./ or write the address out")
            continue
        match = _HOST.match(source)
        host = match["host"] if match else ""
        if not _PLAIN.fullmatch(host):
            raise _forbidden(place, f"the host in {word} cannot be made out; write it plainly")
        yield host.strip("[]").rstrip(".")


def is_allowed(host: str) -> bool:
    """Whether a build may fetch from a host, as far as its name or address tells. Pure."""
    address = _address(host)
    if address is None:
        return not _THIS_MACHINE.fullmatch(host)
    plain = getattr(address, "ipv4_mapped", None) or address
    return not (plain.is_loopback or plain.is_link_local or plain.is_unspecified or plain in _METADATA)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))  # 127.1 and 0x7f000001, which resolvers take for addresses
    except OSError:
        return None


async def _look_up(host: str) -> list[str]:
    """Its addresses; none where it has none, which the engine will say."""
    try:
        async with asyncio.timeout(_LOOKUP_DEADLINE):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError, TimeoutError):
        return []
    return [str(address[0]) for *_, address in found]


def _forbidden(place: str, why: str) -> AddressForbidden:
    return AddressForbidden(
        f"{place}: ADD may not fetch this: {why}.",
        hint="Put the file into the repository, or fetch it from a server that others reach too.",
    )
