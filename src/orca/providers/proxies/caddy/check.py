"""Refuses values that Caddy would not take literally: placeholders, globs, control characters."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from orca.errors import RequestRefused
from orca.providers.proxies.caddy.normalise import REMEMBERED
from orca.sdk.proxies import ProxyCertificate, ProxyConfig, ProxyRoute, Upstream

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOSTNAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_HOSTNAME_LIMIT = 253
_UPSTREAM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
# RFC 3986 path characters without `*` and `%`, which have a special meaning in Caddy's path matcher.
_PATH_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~!$&'()+,;=:@-]+)*/?")
_URL = re.compile(r"https?://[A-Za-z0-9._~!$&'()+,;=:@/%-]+")
_USERNAME = re.compile(r"[^\s:{}\x00-\x1f\x7f]{1,100}")
_BCRYPT = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TITLE_LIMIT = 200
_LAST_PORT = 65535
_LARGEST_EXACT = 1 << 53
"""The largest exact integer: Caddy stores numbers of its configuration as 64-bit floats."""


def check_config(config: ProxyConfig) -> None:
    """Raise RequestRefused, with the reason, for the first route that cannot be served."""
    certificates = {certificate.id: certificate for certificate in config.certificates}
    if len(certificates) != len(config.certificates):
        raise RequestRefused("Two certificates have the same id.", hint="Give each certificate an id of its own.")
    ids: set[str] = set()
    places: dict[tuple[str, str], ProxyRoute] = {}
    hosts: dict[str, ProxyRoute] = {}
    for route in config.routes:
        if route.id in ids:
            raise refusal(route, "has an id that another route has", "Give each route an id of its own.")
        ids.add(route.id)
        _check_route(route)
        _check_tls(route, certificates)
        # Caddy matches paths case-insensitively.
        twin = places.setdefault((route.hostname, route.path_prefix.strip("/").lower()), route)
        if twin is not route:
            raise refusal(route, f"is taken by route {twin.id}", "Remove one of the two.")
        sibling = hosts.setdefault(route.hostname, route)
        if (sibling.tls, sibling.certificate_id) != (route.tls, route.certificate_id):
            raise refusal(
                route,
                f"wants TLS {route.tls!r}, but route {sibling.id} of the same hostname wants {sibling.tls!r}",
                "A hostname has one certificate: give all its paths the same TLS setting.",
            )


def refusal(route: ProxyRoute, cause: str, hint: str) -> RequestRefused:
    """Return a refusal that names `route`; by `details["route_id"]` the caller can leave it out and retry."""
    name = _CONTROL.sub("?", f"{route.hostname}{route.path_prefix}")
    return RequestRefused(f"The route {name[:300]!r} {cause}.", hint=hint, route_id=route.id)


@lru_cache(maxsize=REMEMBERED)
def _check_route(route: ProxyRoute) -> None:
    for is_fine, cause, hint in _RULES:
        if not is_fine(route):
            raise refusal(route, cause, hint)


def _check_tls(route: ProxyRoute, certificates: dict[str, ProxyCertificate]) -> None:
    if route.tls == "custom":
        certificate = certificates.get(route.certificate_id or "")
        if certificate is None:
            raise refusal(
                route, f"names the unknown certificate {route.certificate_id!r}", "Upload it, or choose another."
            )
        if not _ID.fullmatch(certificate.id) or "{" in certificate.certificate + certificate.private_key:
            raise refusal(route, "has a certificate that is not plain PEM", "Upload certificate and key as PEM.")


def _is_hostname(value: str) -> bool:
    return len(value) <= _HOSTNAME_LIMIT and _HOSTNAME.fullmatch(value) is not None


def _is_prefix(value: str) -> bool:
    return (
        value.startswith("/") and _PATH_PREFIX.fullmatch(value) is not None and not {".", ".."} & set(value.split("/"))
    )


def _is_upstream(upstream: Upstream) -> bool:
    return 0 < upstream.port <= _LAST_PORT and (
        _is_parsed_by(ip_address, upstream.host) or _UPSTREAM_NAME.fullmatch(upstream.host) is not None
    )


def _is_redirect(value: str | None) -> bool:
    if value is None:
        return True
    if not _URL.fullmatch(value) or not _is_parsed_by(lambda text: urlsplit(text).port, value):
        return False
    parts = urlsplit(value)
    return parts.hostname is not None and parts.username is None and _is_hostname(parts.hostname)


def _is_parsed_by(parse: Callable[[str], object], value: str) -> bool:
    try:
        parse(value)
    except ValueError:
        return False
    return True


def _is_network(value: str) -> bool:
    # A zone (`fe80::1%eth0`) names an interface, not an address; Caddy would parse it differently.
    return "%" not in value and _is_parsed_by(lambda text: ip_network(text, strict=False), value)


def _are_users(route: ProxyRoute) -> bool:
    names = [user.username for user in route.basic_auth]
    return len(set(names)) == len(names) and all(
        _USERNAME.fullmatch(user.username) and _BCRYPT.fullmatch(user.password_hash) for user in route.basic_auth
    )


def _is_limit(value: float | None) -> bool:
    return value is None or 0 < value <= _LARGEST_EXACT


def _is_title(value: str) -> bool:
    return (
        len(value) <= _TITLE_LIMIT
        and not _CONTROL.search(value)
        and _is_parsed_by(lambda text: text.encode("utf-8"), value)
    )


_RULES: Iterable[tuple[Callable[[ProxyRoute], bool], str, str]] = (
    (lambda r: _ID.fullmatch(r.id) is not None, "has an unusable id", "Use letters, digits, - and _."),
    (
        lambda r: _is_hostname(r.hostname),
        "has an invalid hostname",
        "Use lower-case labels of letters, digits and hyphens, in IDNA form; `*.` only in front.",
    ),
    (
        lambda r: _is_prefix(r.path_prefix),
        "has an invalid path prefix",
        "Start with /, and use no empty or dot segments, %, *, braces or spaces.",
    ),
    (
        lambda r: all(_is_upstream(upstream) for upstream in r.upstreams),
        "has an upstream that is no address and port",
        "Give an IP address or host name, and a port from 1 to 65535.",
    ),
    (
        lambda r: _is_redirect(r.redirect_to),
        "redirects to something that is no plain http(s) URL",
        "Give an absolute URL without user, query, fragment or braces; path and query are appended to it.",
    ),
    (
        lambda r: all(_is_network(value) for value in r.allow_ips),
        "has an invalid network in its allow-list",
        "Write networks as 203.0.113.0/24 or 2001:db8::/32.",
    ),
    (
        _are_users,
        "has a basic-auth user that cannot be used",
        "Names must differ and have no spaces, colons or braces; passwords must be bcrypt hashes.",
    ),
    (
        lambda r: _is_limit(r.timeout) and _is_limit(r.max_body_bytes),
        "has a limit that is not positive, or beyond all measure",
        "Leave the limit out, or make it larger than zero.",
    ),
    (
        lambda r: r.hsts is None or 0 <= r.hsts.max_age <= _LARGEST_EXACT,
        "has an HSTS age that is no number of seconds",
        "Use 31536000 for a year, or 0 to make browsers forget.",
    ),
    (
        lambda r: r.protocol in {"http", "h2c"},
        "wants an unknown protocol",
        "Use http, or h2c for HTTP/2 without TLS.",
    ),
    (
        lambda r: _is_title(r.title),
        "has a title with control characters, or of more than 200 characters",
        "Shorten the title.",
    ),
)
