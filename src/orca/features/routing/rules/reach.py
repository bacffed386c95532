"""Which addresses a name may resolve to, checked before anything is sent there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from orca.sdk.egress import is_allowed

_MOST_ADDRESSES = 8


@dataclass(frozen=True, slots=True)
class Misdirected:
    """Why a name does not lead here, and what to do about it."""

    detail: str
    hint: str


def judge_addresses(hostname: str, addresses: Sequence[str], own: Collection[str]) -> Misdirected | None:
    """Return None when every address is this machine's, or a public one that may be forwarded to it.

    Any other address (private, link-local, metadata) is never contacted: an attacker can control where a name leads.
    """
    point_here = f"Make an A record (and AAAA, if it has IPv6) for {hostname} that points to this machine"
    if not addresses:
        return Misdirected(f"{hostname} has no address in the DNS", f"{point_here}{_whose(own)}.")
    if len(addresses) > _MOST_ADDRESSES:
        return Misdirected(f"{hostname} has more than {_MOST_ADDRESSES} addresses", f"{point_here} alone.")
    for address in addresses:
        if address not in own and not is_public(address):
            return Misdirected(f"{hostname} is {address}, which is not an address of this machine", f"{point_here}.")
    return None


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet; other texts, such as hardware addresses, are none."""
    return _is_address(address) and is_allowed(ip_address(address.partition("%")[0]), private=False, loopback=False)


def _whose(own: Collection[str]) -> str:
    public = sorted(address for address in own if is_public(address))
    return f" ({', '.join(public)})" if public else ""


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False  # psutil also lists hardware addresses
    return True
