"""Where this proxy keeps its files and what it listens on: the same paths on the host and inside the container."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal, Self

from orca.providers.proxies.caddy.config import CaddyConfig

Address = IPv4Address | IPv6Address


def usable_addresses(addresses: Iterable[Address]) -> tuple[Address, ...]:
    """`addresses` without IPv6 on a machine that has none, where Caddy could not start with it."""
    ipv6 = _has_ipv6()
    return tuple(address for address in addresses if address.version == 4 or ipv6)  # noqa: PLR2004 - IP versions


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Program:
    """One of the two Caddys: the edge holds the ports, the router behind it has the routes."""

    name: Literal["edge", "router"]
    config_file: Path
    """What it reads when it starts: the last good configuration."""
    admin_socket: Path
    """The only door to its admin API."""
    pid_file: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Files and listeners of one proxy."""

    data_dir: Path
    addresses: tuple[Address, ...]
    http_port: int
    https_port: int
    log_to_file: bool
    """A container's log is Docker's to keep and rotate; a process writes and rotates its own."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of proxies in front."""
    proxy_protocol: bool = False
    default_hostname: str | None = None
    """Its certificate is shown to visitors who name no site."""

    @classmethod
    def of(cls, config: CaddyConfig) -> Self:
        """The layout that `config` asks for on this machine."""
        return cls(
            data_dir=config.data_dir,
            addresses=usable_addresses(config.bind),
            http_port=config.http_port,
            https_port=config.https_port,
            log_to_file=config.mode == "process",
            trusted_proxies=tuple(str(network) for network in config.trusted_proxies),
            proxy_protocol=config.proxy_protocol,
            default_hostname=config.default_hostname,
        )

    @property
    def config_file(self) -> Path:
        """What the router reads when it starts: the last good configuration."""
        return self.data_dir / "caddy.json"

    @property
    def generations(self) -> Path:
        """Configurations that served before, newest last."""
        return self.data_dir / "generations"

    @property
    def challenges(self) -> Path:
        """What certificate authorities look for under `/.well-known/acme-challenge/`, by file name."""
        return self.data_dir / "challenges"

    @property
    def upstreams(self) -> Path:
        """One file per replica; part of what serves, as `config_file` is."""
        return self.data_dir / "upstreams"

    @property
    def names(self) -> Path:
        """One file per hostname with TLS: a template that gives its certificate and key."""
        return self.data_dir / "names"

    @property
    def certificate_page(self) -> Path:
        """The template that finds the file of a name."""
        return self.data_dir / "certificate.txt"

    @property
    def current(self) -> Path:
        """Holds where the router serves; the edge reads it for each request."""
        return self.data_dir / "current"

    @property
    def next(self) -> Path:
        """Holds where the router is about to serve, the same as `current` otherwise; the edge looks here first."""
        return self.data_dir / "next"

    @property
    def edge(self) -> Program:
        """The Caddy that visitors connect to."""
        return Program("edge", self.data_dir / "edge.json", self.data_dir / "admin.sock", self.data_dir / "caddy.pid")

    @property
    def router(self) -> Program:
        """The Caddy that knows the routes."""
        return Program("router", self.config_file, self.data_dir / "route.sock", self.data_dir / "router.pid")

    @property
    def old_socket(self) -> Path:
        """The admin socket of an edge that is being replaced."""
        return self.data_dir / "old.sock"

    def router_socket(self, token: str) -> Path:
        """Where the router serves the configuration of this token."""
        return self.data_dir / f"s-{token[:8]}"

    @property
    def storage(self) -> Path:
        """Caddy's own folder: certificates, ACME accounts, the internal CA."""
        return self.data_dir / "storage"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.data_dir / "log"

    @property
    def acme_roots(self) -> Path:
        """Roots of private ACME servers."""
        return self.data_dir / "acme-roots"

    @property
    def tls_log(self) -> Path:
        """What went wrong with certificates, one JSON object per line."""
        return self.logs / "tls.log"

    def acme_root(self, pem: str) -> Path:
        """Where the root of a private ACME server is kept: named by content, so that old generations stay valid."""
        return self.acme_roots / f"{sha256(pem.encode()).hexdigest()[:32]}.pem"

    def listeners(self, port: int) -> list[str]:
        """Caddy network addresses, never a wildcard that nobody asked for."""
        return [
            f"tcp4/{address}:{port}" if isinstance(address, IPv4Address) else f"tcp6/[{address}]:{port}"
            for address in self.addresses
        ]
