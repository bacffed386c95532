"""Prevents ADD from fetching what only this machine can reach: its loopback services, and the cloud's metadata.

The engine itself fetches the URLs of ADD, on the machine's network and not on a container's, and the response becomes
part of an image that its owner can read. The engine resolves names again and follows redirects without a check, so
this stops mistakes and simple attempts, but not an attacker who controls a web server and its name.
"""

import re
from collections.abc import Awaitable, Callable, Iterator

from orca.providers.builders.buildkit.errors import AddressForbidden
from orca.sdk import egress
from orca.sdk.dockerfile import Instruction, Resolved
from orca.sdk.egress import is_allowed_name, read_address

LookUp = Callable[[str], Awaitable[list[str]]]
"""Host name -> addresses."""

_QUOTING = str.maketrans("", "", "\"'\\`")
_IS_REMOTE = re.compile(r"[a-z][a-z0-9+.-]{0,20}://|[a-z0-9_.-]{1,60}@[^/:]*:")
_BEGINNINGS = ("http://", "https://", "git://", "ssh://", "ftp://", "git@")
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#]*@)?(?P<host>\[[^\]/?#]*\]|[^:/?#]*)(?::\d*)?(?=[:/?#]|$)")
_PLAIN = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


async def check_addresses(resolved: Resolved, look_up: LookUp | None = None) -> None:
    """Raise AddressForbidden for an ADD from an address that only this machine reaches, or that is unclear."""
    for stage in resolved.stages:
        for instruction in stage.instructions:
            source = instruction.source
            await check_instruction(source.effective, f"Dockerfile line {source.line}", look_up)


async def check_instruction(instruction: Instruction, place: str, look_up: LookUp | None = None) -> None:
    """Like `check_addresses`, for one instruction; `place` describes its position."""
    for host in find_hosts(instruction, place):
        found = await (look_up or _look_up)(host) if is_allowed(host) else [host]
        if not all(is_allowed(address) for address in found):
            raise _forbidden(place, f"{host} is this machine itself or its cloud's metadata")


def find_hosts(instruction: Instruction, place: str) -> Iterator[str]:
    """Return the hosts of an ADD. Raises AddressForbidden if variables or odd characters hide one. Pure."""
    if instruction.keyword != "ADD":
        return
    for word in instruction.words[:-1]:
        source = word.translate(_QUOTING).lower()
        before, variable, _ = source.partition("$")
        if not _IS_REMOTE.match(source):
            if variable and any(begin.startswith(before) for begin in _BEGINNINGS):
                raise _forbidden(place, f"{word} may become any address; begin it with ./ or write the address out")
            continue
        if "$" in re.split(r"[/?#]", source.partition("://")[2], maxsplit=1)[0]:
            raise _forbidden(place, f"a variable may change the host in {word}; write it plainly")
        match = _HOST.match(source)
        host = match["host"] if match else ""
        if not _PLAIN.fullmatch(host):
            raise _forbidden(place, f"the host in {word} cannot be made out; write it plainly")
        yield host.strip("[]").rstrip(".")


def is_allowed(host: str) -> bool:
    """Whether a build may fetch from a host, judged by its name or address alone. Pure."""
    address = read_address(host)
    if address is None:
        return is_allowed_name(host, loopback=False)
    return egress.is_allowed(address, private=True, loopback=False)


async def _look_up(host: str) -> list[str]:
    """Return the addresses of a host; empty if it has none, which the engine will report."""
    try:
        return [str(address) for address in await egress.resolve(host)]
    except egress.Unresolved:
        return []


def _forbidden(place: str, why: str) -> AddressForbidden:
    return AddressForbidden(
        f"{place}: ADD may not fetch this: {why}.",
        hint="Put the file into the repository, or fetch it from a server that others reach too.",
    )
