"""An in-memory proxy, for tests of code that uses proxies."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel

from orca.errors import ProviderUnavailable, RequestRefused
from orca.sdk.connectors import Connector
from orca.sdk.plans import Change
from orca.sdk.proxies import CertificateState, ProxyConfig, ProxyRoute, ProxyState, Upstream

_HOSTNAME = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*")
_PREFIX = re.compile(r"(/[A-Za-z0-9._-]+)*/?")
_URL = re.compile(r"https?://[A-Za-z0-9.:/_-]+")
_ADDRESS = re.compile(r"[A-Za-z0-9.:-]+")
_NETWORK = re.compile(r"[0-9a-f.:/]+")


@dataclass(frozen=True, slots=True)
class FakeProxyChange:
    """A sentence."""

    text: str

    def describe(self) -> str:
        """The sentence."""
        return self.text


@dataclass
class FakeProxy:
    """Stores what is applied. `refused`: route ids to refuse, with the reason; `down` makes it unreachable."""

    applied: list[ProxyConfig] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    running: bool = False
    down: bool = False
    drifted: bool = False
    issued: list[CertificateState] = field(default_factory=list)

    @property
    def served(self) -> ProxyConfig:
        """What was applied last."""
        return self.applied[-1] if self.applied else ProxyConfig(())

    async def start(self) -> None:
        """Run."""
        self._check_reachable()
        self.running = True

    async def inspect(self) -> ProxyState:
        """What was applied last, while it runs."""
        self._check_reachable()
        if not self.running:
            return ProxyState(running=False, version="", config=None, drifted=False)
        return ProxyState(running=True, version="0", config=self.served, drifted=self.drifted)

    def plan(self, current: ProxyConfig | None, desired: ProxyConfig) -> list[Change]:
        """One sentence per route that differs."""
        before = {route.id: route for route in (current.routes if current else ())}
        after = {route.id: route for route in desired.routes}
        differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return [FakeProxyChange(f"set {(after.get(name) or before[name]).hostname}") for name in differing]

    async def apply(self, desired: ProxyConfig) -> None:
        """Store it, unless a route is in `refused`."""
        self._check_reachable()
        if not self.running:
            raise ProviderUnavailable("The proxy does not run.", hint="Start it.")
        places: set[tuple[str, str]] = set()
        for route in desired.routes:
            reason = self.refused.get(route.id) or _find_fault(route, desired)
            if not reason and (route.hostname, route.path_prefix) in places:
                reason = "is taken"
            if reason:
                raise RequestRefused(f"The route {route.hostname} {reason}.", hint="Correct it.", route_id=route.id)
            places.add((route.hostname, route.path_prefix))
        self.applied.append(desired)
        self.drifted = False

    async def certificates(self) -> list[CertificateState]:
        """`issued`, and the custom ones that are in use."""
        custom = [route.hostname for route in self.served.routes if route.tls == "custom"]
        return self.issued + [CertificateState(name, "Test", "2100-01-01T00:00:00+00:00", "custom") for name in custom]

    async def internal_ca(self) -> str | None:
        """None: it makes no certificates."""
        return None

    async def stop(self) -> None:
        """Stop; the applied configuration stays."""
        self._check_reachable()
        self.running = False

    def _check_reachable(self) -> None:
        if self.down:
            raise ProviderUnavailable("The proxy does not answer.", hint="Start it.")


class FakeProxyConfig(BaseModel):
    """Nothing to set."""


class FakeProxyProvider:
    """Opens the same fake each time."""

    name: ClassVar[str] = "fake"
    Config: ClassVar[type[BaseModel]] = FakeProxyConfig

    def __init__(self) -> None:
        self.proxy = FakeProxy()

    @asynccontextmanager
    async def open(self, _config: BaseModel, _connector: Connector) -> AsyncIterator[FakeProxy]:
        """The fake."""
        yield self.proxy


def _find_fault(route: ProxyRoute, config: ProxyConfig) -> str | None:
    known = {certificate.id for certificate in config.certificates}
    is_plain = (
        _HOSTNAME.fullmatch(route.hostname)
        and route.path_prefix.startswith("/")
        and _PREFIX.fullmatch(route.path_prefix)
        and ".." not in route.path_prefix
        and (route.redirect_to is None or _URL.fullmatch(route.redirect_to))
        and all(_is_address(upstream) for upstream in route.upstreams)
        and all(_NETWORK.fullmatch(network) for network in route.allow_ips)
        and (route.title.isprintable())
        and route.protocol in {"http", "h2c"}
        and (route.hsts is None or route.hsts.max_age >= 0)
    )
    if not is_plain:
        return "has a value that is not plain"
    if route.tls == "custom" and route.certificate_id not in known:
        return "names an unknown certificate"
    return None


def _is_address(upstream: Upstream) -> bool:
    return upstream.port > 0 and _ADDRESS.fullmatch(upstream.host) is not None
