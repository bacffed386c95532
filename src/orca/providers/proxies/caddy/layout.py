"""The proxy's file paths and listening addresses; paths are the same on the host and inside the container."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal, Self

from orca.providers.proxies.caddy.config import CaddyConfig
from orca.sdk.connectors import Connector, SupportsAddresses

Address = IPv4Address | IPv6Address


async def usable_addresses(connector: Connector, addresses: Iterable[Address]) -> tuple[Address, ...]:
    """Return `addresses` without IPv6 on a system that has none, where Caddy could not start with it."""
    known = await connector.list_addresses() if isinstance(connector, SupportsAddresses) else ["::1"]
    has_ipv6 = any(":" in own for own in known)
    return tuple(address for address in addresses if address.version == 4 or has_ipv6)  # noqa: PLR2004 - IP versions


@dataclass(frozen=True, slots=True)
class Program:
    """One of the two Caddys: the edge listens on the ports, the router behind it has the routes."""

    name: Literal["edge", "router"]
    config_file: Path
    """What it reads when it starts: the last good configuration."""
    admin_socket: Path
    """The only way to reach its admin API."""
    pid_file: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Files and listeners of one proxy."""

    data_dir: Path
    addresses: tuple[Address, ...]
    http_port: int
    https_port: int
    log_to_file: bool
    """True for a process, which writes and rotates its own log file; Docker does that for a container's log."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of trusted proxies in front of this one."""
    proxy_protocol: bool = False
    default_hostname: str | None = None
    """The hostname whose certificate is served to clients that send no server name."""

    @classmethod
    def of(cls, config: CaddyConfig, addresses: tuple[Address, ...] = ()) -> Self:
        """Return the layout for `config`; `addresses`: those of its `bind` that the system has."""
        return cls(
            data_dir=config.data_dir,
            addresses=addresses or tuple(config.bind),
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
        """The folder of earlier configurations, newest last."""
        return self.data_dir / "generations"

    @property
    def challenges(self) -> Path:
        """The folder of answers to ACME challenges, served under `/.well-known/acme-challenge/` by file name."""
        return self.data_dir / "challenges"

    @property
    def upstreams(self) -> Path:
        """The folder with one file per replica; it belongs to the served state, like `config_file`."""
        return self.data_dir / "upstreams"

    @property
    def names(self) -> Path:
        """The folder with one file per TLS hostname: a template that renders its certificate and key."""
        return self.data_dir / "names"

    @property
    def long_names(self) -> Path:
        """The folder of internal certificates for names that are too long for Caddy's own storage."""
        return self.data_dir / "long-names"

    @property
    def certificate_page(self) -> Path:
        """The template that looks up the file of a hostname."""
        return self.data_dir / "certificate.txt"

    @property
    def current(self) -> Path:
        """The file with the router's current socket; the edge reads it for each request."""
        return self.data_dir / "current"

    @property
    def next(self) -> Path:
        """The file with the router's next socket, else the same as `current`; the edge tries this one first."""
        return self.data_dir / "next"

    @property
    def edge(self) -> Program:
        """The Caddy that visitors connect to."""
        return Program("edge", self.data_dir / "edge.json", self.data_dir / "admin.sock", self.data_dir / "caddy.pid")

    @property
    def router(self) -> Program:
        """The Caddy that has the routes."""
        return Program("router", self.config_file, self.data_dir / "route.sock", self.data_dir / "router.pid")

    @property
    def old_socket(self) -> Path:
        """The admin socket of an edge that is being replaced."""
        return self.data_dir / "old.sock"

    def router_socket(self, token: str) -> Path:
        """Return the socket on which the router serves the configuration with this token."""
        return self.data_dir / f"s-{token[:8]}"

    @property
    def storage(self) -> Path:
        """Caddy's own folder: the internal CA and its certificates."""
        return self.data_dir / "storage"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.data_dir / "log"

    def listeners(self, port: int) -> list[str]:
        """Return Caddy network addresses; a wildcard only if it is configured."""
        return [
            f"tcp4/{address}:{port}" if isinstance(address, IPv4Address) else f"tcp6/[{address}]:{port}"
            for address in self.addresses
        ]
