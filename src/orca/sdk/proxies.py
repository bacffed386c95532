"""Proxies route hostnames to containers. The whole configuration is rendered from data and replaced atomically."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from orca.sdk.connectors import Connector
from orca.sdk.plans import Change

TlsMode = Literal["off", "internal", "custom"]
"""`internal`: a certificate of the proxy's own authority; `custom`: a certificate that Orca passes to it."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a request goes: an address and port reachable from the proxy."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class BasicAuthUser:
    """A user name and the bcrypt hash of a password."""

    username: str
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Hsts:
    """HTTP Strict Transport Security: browsers use only HTTPS for this hostname."""

    max_age: int
    """Seconds; 0 makes them forget."""
    include_subdomains: bool = False
    preload: bool = False

    def __str__(self) -> str:
        more = "; includeSubDomains" * self.include_subdomains + "; preload" * self.preload
        return f"max-age={self.max_age}{more}"


@dataclass(frozen=True, slots=True)
class ProxyRoute:
    """One hostname and path prefix. Without upstreams and `redirect_to` it serves the down page (503)."""

    id: str
    hostname: str
    """Lower case, IDNA; `*.example.org` matches one label."""
    path_prefix: str = "/"
    upstreams: tuple[Upstream, ...] = ()
    strip_prefix: bool = False
    redirect_to: str | None = None
    """An absolute URL; path and query are appended. Answered with `redirect_status`."""
    redirect_status: Literal[301, 302, 307, 308] = 308
    tls: TlsMode = "off"
    certificate_id: str | None = None
    """For `custom`: which of `ProxyConfig.certificates`."""
    https_redirect: bool = True
    """With TLS on: plain HTTP is redirected to HTTPS."""
    compress: bool = True
    max_body_bytes: int | None = None
    timeout: float | None = None
    """Seconds to wait for the upstream's response headers."""
    basic_auth: tuple[BasicAuthUser, ...] = ()
    allow_ips: tuple[str, ...] = ()
    """CIDRs; empty allows all. Compared with the socket peer, or the client address from a trusted proxy."""
    maintenance: bool = False
    """Whether to serve the maintenance page (503 with Retry-After) and send nothing upstream."""
    protocol: Literal["http", "h2c"] = "http"
    """The protocol of the upstreams: HTTP/1.1, or HTTP/2 without TLS, as for gRPC."""
    hsts: Hsts | None = None
    """Sent with answers over HTTPS."""
    title: str = ""
    """The service's name, for the down and maintenance pages."""


@dataclass(frozen=True, slots=True)
class ProxyCertificate:
    """A certificate of the user's own, in PEM."""

    id: str
    certificate: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """Everything the proxy should do, in one value."""

    routes: tuple[ProxyRoute, ...]
    certificates: tuple[ProxyCertificate, ...] = ()


@dataclass(frozen=True, slots=True)
class ProxyState:
    """The observed state of the proxy."""

    running: bool
    version: str
    config: ProxyConfig | None
    """The live configuration; None when it is unknown."""
    drifted: bool
    """True when the live configuration is not the last one that Orca applied."""


@dataclass(frozen=True, slots=True)
class CertificateState:
    """A certificate the proxy holds. Instants are ISO 8601 in UTC."""

    hostname: str
    issuer: str
    not_after: str
    tls: TlsMode
    """Its source."""


class Proxy(Protocol):
    """A live proxy."""

    async def start(self) -> None:
        """Make sure the proxy process or container runs and is restarted after a reboot without Orca.

        Raises RequestRefused naming the process that holds a port it needs.
        """
        ...

    async def inspect(self) -> ProxyState:
        """Return the observed state. Raises ProviderUnavailable when it cannot be observed."""
        ...

    def plan(self, current: ProxyConfig | None, desired: ProxyConfig) -> list[Change]:
        """Return one change per route or certificate that differs. Pure."""
        ...

    async def apply(self, desired: ProxyConfig) -> None:
        """Render, parse back, validate with the real tool, load atomically, probe; restore the last good
        configuration when the probe fails. Long connections of other routes survive.

        Raises RequestRefused with the faulty route (`details["route_id"]`); `details["also"]` may have further ones:
        id -> reason.
        """
        ...

    async def certificates(self) -> list[CertificateState]:
        """Return the certificates that the proxy manages or was passed, with their expiry."""
        ...

    async def internal_ca(self) -> str | None:
        """Return the root certificate of the internal CA in PEM, once there is one."""
        ...

    async def stop(self) -> None:
        """Stop the proxy for good (uninstall, `scripts/up --down`)."""
        ...


@runtime_checkable
class SupportsHttpChallenges(Protocol):
    """A proxy that serves HTTP-01 challenges (RFC 8555, 8.3) on port 80 of every name, without a change of routes."""

    async def show_challenge(self, token: str, answer: str) -> None:
        """Serve `answer` at `/.well-known/acme-challenge/<token>` from now on."""
        ...

    async def drop_challenge(self, token: str) -> None:
        """Stop serving it. No error if it does not exist."""
        ...


@runtime_checkable
class SupportsStoredCertificates(Protocol):
    """A proxy whose storage may contain certificates that it ordered itself under an earlier version of Orca."""

    async def stored_certificates(self, hostnames: Collection[str]) -> list[tuple[str, str, str]]:
        """Return hostname, chain and key in PEM of each readable certificate."""
        ...


class ProxyProvider(Protocol):
    """Opens proxies of one kind."""

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]

    def open(self, config: BaseModel, connector: Connector) -> AbstractAsyncContextManager[Proxy]:
        """Connect lazily: opening never fails because the proxy is down."""
        ...
