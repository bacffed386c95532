"""Proxies route hostnames to containers. The whole configuration is rendered from facts and swapped as one."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from orca.sdk.connectors import Connector
from orca.sdk.plans import Change

TlsMode = Literal["off", "internal", "acme", "custom"]


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
    """What browsers should remember: this hostname speaks HTTPS only."""

    max_age: int
    """Seconds; 0 makes them forget."""
    include_subdomains: bool = False
    preload: bool = False

    def __str__(self) -> str:
        more = "; includeSubDomains" * self.include_subdomains + "; preload" * self.preload
        return f"max-age={self.max_age}{more}"


@dataclass(frozen=True, slots=True)
class ProxyRoute:
    """One hostname and path prefix. Without upstreams, and without `redirect_to`, it answers the down page (503)."""

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
    """CIDRs; empty allows all. Judged by the socket peer, or by what a trusted proxy says of the visitor."""
    maintenance: bool = False
    """Answers the maintenance page (503 with Retry-After) and sends nothing upstream."""
    protocol: Literal["http", "h2c"] = "http"
    """What the upstreams speak: HTTP/1.1, or HTTP/2 without TLS, as gRPC servers do."""
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
class AcmeAccount:
    """Where certificates are ordered."""

    directory_url: str
    email: str | None = None
    ca_root: str | None = None
    """PEM that signs the ACME server itself, for private CAs."""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """Everything the proxy should do, in one value."""

    routes: tuple[ProxyRoute, ...]
    certificates: tuple[ProxyCertificate, ...] = ()
    acme: AcmeAccount | None = None


@dataclass(frozen=True, slots=True)
class ProxyState:
    """What was observed of the running proxy."""

    running: bool
    version: str
    config: ProxyConfig | None
    """What it serves now as Orca would write it; None when that is not known."""
    drifted: bool
    """True when the live configuration is not the last one that Orca applied."""


@dataclass(frozen=True, slots=True)
class CertificateState:
    """A certificate the proxy holds. Instants are ISO 8601 in UTC."""

    hostname: str
    issuer: str
    not_after: str
    tls: TlsMode
    """Where it is from."""


@dataclass(frozen=True, slots=True)
class CertificateFailure:
    """Why the proxy could not get or renew a certificate. `at` is ISO 8601 in UTC."""

    hostname: str
    reason: str
    at: str
    """The last attempt."""
    attempts: int
    """Failed attempts since there was a certificate last, as far as is remembered; at least 1."""


class Proxy(Protocol):
    """A live proxy."""

    async def start(self) -> None:
        """Make sure the proxy process or container runs and would come back after a reboot without Orca.

        Raises RequestRefused naming the process that holds a port it needs.
        """
        ...

    async def inspect(self) -> ProxyState:
        """Observe; raises ProviderUnavailable when nothing can be known."""
        ...

    def plan(self, current: ProxyConfig | None, desired: ProxyConfig) -> list[Change]:
        """Pure: one change per route or certificate that differs."""
        ...

    async def apply(self, desired: ProxyConfig) -> None:
        """Render, parse back, validate with the real tool, load atomically, probe; restore the last good
        configuration when the probe fails. Long connections of other routes survive.

        Raises RequestRefused with the route that is to blame (`details["route_id"]`); `details["also"]` may tell of
        further ones: id -> why.
        """
        ...

    async def certificates(self) -> list[CertificateState]:
        """Certificates the proxy manages or was given, with their expiry."""
        ...

    async def internal_ca(self) -> str | None:
        """The root certificate of the internal CA in PEM, once there is one."""
        ...

    async def stop(self) -> None:
        """Stop the proxy for good (uninstall, `scripts/up --down`)."""
        ...


@runtime_checkable
class SupportsCertificateFailures(Protocol):
    """A proxy that orders certificates and can say why it did not get one.

    Whoever applies configurations should leave a failing hostname's TLS off for a while (longer with each attempt):
    every change of a configuration may make a proxy try again at once, and certificate authorities count.
    """

    async def certificate_failures(self) -> list[CertificateFailure]:
        """One per hostname whose last attempt failed."""
        ...


@runtime_checkable
class SupportsHttpChallenges(Protocol):
    """A proxy that shows the proof of RFC 8555, 8.3, on port 80 of every name, without a change of routes."""

    async def show_challenge(self, token: str, answer: str) -> None:
        """Answer `/.well-known/acme-challenge/<token>` with `answer`, from now on."""
        ...

    async def drop_challenge(self, token: str) -> None:
        """Stop answering it. One that is not there is no error."""
        ...


@runtime_checkable
class SupportsStoredCertificates(Protocol):
    """A proxy in whose own store there may be certificates that it ordered under an earlier Orca."""

    async def stored_certificates(self, hostnames: Collection[str]) -> list[tuple[str, str, str]]:
        """Hostname, chain and key in PEM, of each that can be read."""
        ...


class ProxyProvider(Protocol):
    """Opens proxies of one kind."""

    name: ClassVar[str]
    Config: ClassVar[type[BaseModel]]

    def open(self, config: BaseModel, connector: Connector) -> AbstractAsyncContextManager[Proxy]:
        """Connect lazily: opening never fails because the proxy is down."""
        ...
