"""The API's models of routes."""

from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self, cast

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from orca.db import now
from orca.features.routing.models import Route
from orca.features.routing.rules.conditions import Condition, judge_certificate
from orca.features.routing.rules.hostnames import parse_hostname
from orca.features.routing.rules.paths import parse_prefix, parse_redirect, route_url
from orca.features.routing.rules.refusals import next_try_at
from orca.features.services.schemas.settings import Port, PortNumber
from orca.kit.fields import Changes, Identifier, Output, Strict
from orca.settings import ProxySettings
from orca.systems import LOCAL

ServedState = Literal["pending", "live", "broken"]
TlsMode = Literal["off", "internal", "acme", "custom"]
_CIDR_COUNT = 100
BCRYPT_BYTES = 72
"""bcrypt ignores what follows after this many bytes of a password."""


def _network(value: str) -> str:
    if "%" in value:
        raise ValueError("a network has no zone")
    return str(ip_network(value, strict=False))


def _fits_bcrypt(value: SecretStr) -> SecretStr:
    secret = value.get_secret_value()
    if not secret or len(secret.encode()) > BCRYPT_BYTES or "\x00" in secret:
        raise ValueError(f"use 1 to {BCRYPT_BYTES} bytes without NUL")
    return value


Username = Annotated[str, StringConstraints(pattern=r"^[^\s:{}\x00-\x1f\x7f]{1,100}$")]
Hostname = Annotated[
    str, StringConstraints(min_length=1, max_length=1000), AfterValidator(parse_hostname),
    Field(description="`app.example.org`, or `*.example.org` for one label. Any port is ignored."),
]  # fmt: skip
Prefix = Annotated[str, AfterValidator(parse_prefix), Field(description="Path under which the service is reached.")]
Redirect = Annotated[
    str, AfterValidator(parse_redirect), Field(description="Send visitors there instead; path and query are appended.")
]
PublicTlsMode = Annotated[
    TlsMode, Field(description="`acme` orders a public certificate, `internal` uses Orca's own CA, `custom` yours.")
]


class BasicAuth(Strict):
    """A user who may see the site, and the bcrypt hash of the password (hashed before it is saved)."""

    username: Username
    password_hash: Annotated[str, StringConstraints(pattern=r"^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$")]


class BasicAuthIn(Strict):
    """A user who may see the site. Without a password, the one stored under this name is kept."""

    username: Username
    password: Annotated[SecretStr, AfterValidator(_fits_bcrypt)] | None = None


class _Options(Strict):
    """How a route treats requests."""

    strip_prefix: bool = False
    https_redirect: bool | None = Field(
        None, description="Send plain HTTP to HTTPS. Default: yes, unless the certificate is of the internal CA."
    )
    compress: bool = True
    max_body_mb: int | None = Field(None, ge=1, le=102400)
    timeout: float | None = Field(None, gt=0, le=3600, description="Seconds to wait for the service's answer to begin.")
    allow_ips: list[Annotated[str, AfterValidator(_network)]] = Field([], max_length=_CIDR_COUNT)
    maintenance: bool = False
    redirect_status: Literal[301, 302, 307, 308] = 308
    protocol: Literal["http", "h2c"] = Field(
        "http", description="What the service speaks: HTTP/1.1, or HTTP/2 without TLS (`h2c`), as gRPC servers do."
    )
    hsts_max_age: int | None = Field(
        None, ge=0, le=63_072_000,
        description="Seconds for which browsers use HTTPS only (Strict-Transport-Security); 0 makes them forget.",
    )  # fmt: skip
    hsts_subdomains: bool = Field(False, description="The same for all names below this one.")
    hsts_preload: bool = Field(False, description="Agree to the lists that browsers are shipped with.")


class RouteOptions(_Options):
    """How a route treats requests, as it is stored."""

    basic_auth: list[BasicAuth] = Field([], max_length=50)


class RouteOptionsIn(_Options):
    """How a route should treat requests."""

    basic_auth: list[BasicAuthIn] = Field([], max_length=50)

    @model_validator(mode="after")
    def _users_differ(self) -> Self:
        if len({user.username for user in self.basic_auth}) < len(self.basic_auth):
            raise ValueError("each user name of basic_auth may appear once")
        return self


class RouteOptionsOut(_Options):
    """How a route treats requests; of its users only the names are returned."""

    basic_auth: list[str] = Field([], description="User names.")


class RouteIn(Strict):
    """A hostname for a service."""

    hostname: Hostname
    path_prefix: Prefix = "/"
    port: PortNumber | None = Field(None, description="Container port; default: the first public one.")
    tls: PublicTlsMode | None = None
    certificate_id: Identifier | None = Field(None, description="Which uploaded certificate, for `custom`.")
    redirect_to: Redirect | None = None
    options: RouteOptionsIn = RouteOptionsIn()


class RoutePatch(Changes):
    """What to change; omitted fields stay. TLS belongs to the hostname: all its paths change with it."""

    may_be_null = frozenset({"port", "redirect_to", "certificate_id"})

    hostname: Hostname | None = None
    path_prefix: Prefix | None = None
    port: PortNumber | None = Field(None, description="Null goes back to the first public port.")
    tls: PublicTlsMode | None = None
    certificate_id: Identifier | None = None
    redirect_to: Redirect | None = Field(None, description="Null makes it an ordinary route again.")
    options: RouteOptionsIn | None = Field(None, description="Only the options that are given change.")


class RouteOut(Output):
    """A hostname of a service, and how it is served."""

    id: str
    service_id: str
    hostname: str
    path_prefix: str
    port: int | None
    tls: TlsMode
    certificate_id: str | None
    redirect_to: str | None
    options: RouteOptionsOut
    is_automatic: bool
    state: ServedState
    condition: Condition = Field(
        description="What a visitor finds: `unreachable` while the name was not found to lead here, "
        "`awaiting_certificate` until there is the public one; otherwise the same as `state`."
    )
    problem: str = Field(description="Why it is broken, or has no public certificate yet; else empty.")
    next_try_at: datetime | None = Field(
        description="When Orca tries again by itself: to serve a broken route, to look where the name leads, or to "
        "order its certificate. Null when it is due now, or nothing is awaited."
    )
    url: str
    urls: list[str] = Field(description="Every address under which it answers; the best one first.")
    acme_ready_at: datetime | None = Field(description="When the name was found to point here; null until then.")
    acme_check_at: datetime | None = Field(
        description="When the name is looked at next, and a certificate ordered; null when that is not awaited."
    )
    order_failures: int = Field(description="Orders in a row that ended without a certificate.")
    certificate_until: datetime | None = Field(description="When the ordered certificate ends; null without one.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, route: Route, proxy: ProxySettings) -> Self:
        """Return the API's form of a route."""
        options = RouteOptions.model_validate(route.options)
        shown = options.model_dump(exclude={"basic_auth"}) | {"basic_auth": [u.username for u in options.basic_auth]}
        urls = urls_of(route, options, proxy)
        columns = {
            name: getattr(route, name) for name in cls.model_fields if hasattr(route, name) and name != "options"
        }
        return cls(
            **columns, options=RouteOptionsOut(**shown), url=urls[0], urls=urls,
            condition=condition_of(route), next_try_at=next_try_of(route),
        )  # fmt: skip


def condition_of(route: Route) -> Condition:
    """Return what a visitor finds at a route."""
    if route.state != "live" or route.tls != "acme":
        return cast("Condition", route.state)
    return judge_certificate(
        route.acme_ready_at, route.certificate_until,
        failed_looks=route.acme_failures, failed_orders=route.order_failures, now=now(),
    )  # fmt: skip


def next_try_of(route: Route) -> datetime | None:
    """Return when a broken route or a failed preflight is tried again; None when it is due, or nothing is waiting."""
    if route.state == "broken":
        return next_try_at(route.refusals, route.refused_at)
    return route.acme_check_at if route.tls == "acme" and route.acme_ready_at is None else None


def urls_of(route: Route, options: RouteOptions, proxy: ProxySettings) -> list[str]:
    """Return the URLs of a route, HTTPS first."""
    place = route.hostname, route.path_prefix
    plain, secure = route_url("http", *place, proxy.http_port), route_url("https", *place, proxy.https_port)
    if route.tls == "off":
        return [plain]
    return [secure] if redirects_to_https(route, options) else [secure, plain]


def redirects_to_https(route: Route, options: RouteOptions) -> bool:
    """Whether HTTP is redirected; never while the internal CA substitutes a public one: browsers would only warn."""
    if route.tls == "acme" and (route.certificate_until is None or route.certificate_until <= now()):
        return False
    return options.https_redirect if options.https_redirect is not None else route.tls != "internal"


class TargetIn(Strict):
    """One replica of a release: where the proxy reaches it, and the ports its release was made with."""

    replica: int
    address: str = Field(max_length=45)
    ports: list[Port]
    system: str = LOCAL


def merge_options(stored: dict[str, Any], changes: RouteOptionsIn, hashes: dict[str, str]) -> RouteOptions:
    """Merge changed options into the stored ones. `hashes` has the bcrypt hash of each new password.

    Raises ValueError for a user without a password, neither a new nor a stored one.
    """
    merged = dict(stored) | changes.model_dump(exclude_unset=True, exclude={"basic_auth"})
    if "basic_auth" in changes.model_fields_set:
        known = {user["username"]: user["password_hash"] for user in stored.get("basic_auth", [])} | hashes
        for user in changes.basic_auth:
            if user.username not in known:
                raise ValueError(f"give a password for the user {user.username}")
        merged["basic_auth"] = [
            {"username": u.username, "password_hash": known[u.username]} for u in changes.basic_auth
        ]
    return RouteOptions.model_validate(merged)
