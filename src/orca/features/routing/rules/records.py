"""The DNS records that lead a hostname here, compared with what the DNS answers. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Literal

from orca.features.routing.rules.hostnames import is_wildcard
from orca.features.routing.rules.reach import is_public

Kind = Literal["A", "AAAA", "CNAME"]
State = Literal["right", "missing", "elsewhere", "unknown"]
_LOCAL = ("localhost", "local", "internal", "lan", "home", "test", "invalid", "example")
"""Last labels of names that no public DNS has."""
_RELAYS = tuple(
    map(
        ip_network,
        (
            "173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18",
            "108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17",
            "162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22",
            "2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32",
            "2a06:98c0::/29", "2c0f:f248::/32",
        ),
    )
)  # fmt: skip
"""Networks of Cloudflare, which answers for names with its own addresses and passes requests on."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record to make, and what the DNS has in its place."""

    kind: Kind
    name: str
    value: str
    """Empty when the public address of the machine is not known."""
    state: State
    seen: tuple[str, ...] = ()
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a hostname should lead."""

    hostname: str
    addresses: Sequence[str]
    """Public addresses of the machine, as far as they are known."""
    base_domain: str = ""
    siblings: Sequence[str] = ()
    """Other hostnames of the service: `www.` points to the name without it by CNAME."""

    @property
    def name(self) -> str:
        """The name of the record: for names under the base domain, one wildcard leads all of them here."""
        is_below = self.base_domain and self.hostname.endswith(f".{self.base_domain}")
        return f"*.{self.base_domain}" if is_below else self.hostname


def is_in_public_dns(hostname: str) -> bool:
    """Whether the public DNS can have a name."""
    return "." in hostname and hostname.rsplit(".", 1)[-1] not in _LOCAL


def choose_addresses(configured: Sequence[str], own: Iterable[str]) -> list[str]:
    """Return the public addresses to point names to: those of the setting, else those that the machine itself has."""
    found = configured or [address for address in own if is_public(address)]
    return sorted(dict.fromkeys(found), key=lambda address: (not _is_v4(address), address))


def plan_records(aim: Aim, answers: Sequence[str]) -> list[Record]:
    """Return the records for a hostname, compared with the addresses that the DNS answers for it."""
    plain = aim.hostname.removeprefix("www.")
    if plain != aim.hostname and plain in aim.siblings and not is_wildcard(plain):
        return [Record("CNAME", aim.hostname, plain, _judge_all(aim.addresses, answers), tuple(answers))]
    records = [_plan_address(aim, address, answers) for address in aim.addresses]
    if not records:
        seen = tuple(filter(_is_v4, answers))
        records.append(Record("A", aim.name, "", "unknown" if seen else "missing", seen))
    stray = tuple(address for address in answers if not _is_v4(address))
    if stray and not any(record.kind == "AAAA" for record in records):
        records.append(
            Record("AAAA", aim.name, "", "elsewhere" if aim.addresses else "unknown", stray, is_optional=True)
        )
    return records


def _plan_address(aim: Aim, address: str, answers: Sequence[str]) -> Record:
    is_v4 = _is_v4(address)
    same = tuple(answer for answer in answers if _is_v4(answer) == is_v4)
    wanted = [known for known in aim.addresses if _is_v4(known) == is_v4]
    state: State = "missing" if address not in same else "right"
    if any(answer not in wanted for answer in same):
        state = "elsewhere"
    return Record("A" if is_v4 else "AAAA", aim.name, address, state, same, is_optional=not is_v4)


def _judge_all(addresses: Sequence[str], answers: Sequence[str]) -> State:
    if not answers:
        return "missing"
    if not addresses:
        return "unknown"
    return "right" if set(answers) <= set(addresses) else "elsewhere"


def is_relayed(answers: Sequence[str]) -> bool:
    """Whether a name leads to a relay such as Cloudflare, which hides where it leads then."""
    return any(ip_address(answer) in network for answer in answers for network in _RELAYS)


def _is_v4(address: str) -> bool:
    return isinstance(ip_address(address.partition("%")[0]), IPv4Address)
