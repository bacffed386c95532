"""The difference between two configurations, described in sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeVar

from orca.providers.proxies.caddy.normalise import normalise
from orca.sdk.plans import Change
from orca.sdk.proxies import ProxyCertificate, ProxyConfig, ProxyRoute

Kind = Literal["add", "change", "remove"]
Item = TypeVar("Item", ProxyRoute, ProxyCertificate)
_NONE = ProxyConfig(routes=())


@dataclass(frozen=True, slots=True)
class RouteChange:
    """A route that is added, changed or removed."""

    kind: Kind
    route: ProxyRoute
    changed: tuple[str, ...]
    """Names of the fields that differ, if the route existed before."""

    def describe(self) -> str:
        """`change route shop.example.org/ (upstreams, timeout)`."""
        place = f"{self.route.hostname}{self.route.path_prefix}"
        if self.kind == "change":
            return f"change route {place} ({', '.join(self.changed)})"
        return f"{self.kind} route {place} -> {_target(self.route)}"


@dataclass(frozen=True, slots=True)
class CertificateChange:
    """A custom certificate that is added, changed or removed."""

    kind: Kind
    certificate_id: str

    def describe(self) -> str:
        """`add certificate 3f2a`."""
        return f"{self.kind} certificate {self.certificate_id}"


def plan_changes(current: ProxyConfig | None, desired: ProxyConfig) -> list[Change]:
    """Return one change per certificate or route that differs, in order of precedence."""
    before, after = normalise(current or _NONE), normalise(desired)
    changes: list[Change] = []
    changes += [CertificateChange(kind, c.id) for kind, c, _ in _diff(before.certificates, after.certificates)]
    changes += [RouteChange(kind, route, names) for kind, route, names in _diff(before.routes, after.routes)]
    return changes


def changed_routes(current: ProxyConfig | None, desired: ProxyConfig) -> list[ProxyRoute]:
    """Return the routes of `desired` that `current` lacks, or serves differently or with another certificate."""
    before, after = normalise(current or _NONE), normalise(desired)
    same, kept = set(before.routes), {c.id for c in set(before.certificates) & set(after.certificates)}

    def is_kept(route: ProxyRoute) -> bool:
        return route.certificate_id is None or route.certificate_id in kept

    return [route for route in after.routes if route not in same or not is_kept(route)]


def _diff(before: Sequence[Item], after: Sequence[Item]) -> Iterator[tuple[Kind, Item, tuple[str, ...]]]:
    old, new = {item.id: item for item in before}, {item.id: item for item in after}
    for item in after:
        was = old.get(item.id)
        if was is None:
            yield "add", item, ()
        elif was != item:
            yield "change", item, tuple(f.name for f in fields(item) if getattr(was, f.name) != getattr(item, f.name))
    for item in before:
        if item.id not in new:
            yield "remove", item, ()


def _target(route: ProxyRoute) -> str:
    if route.redirect_to:
        return route.redirect_to
    return ", ".join(str(upstream) for upstream in route.upstreams) or "down page"
