"""Decides which certificate each hostname gets and who issues it; Caddy's automatic HTTPS is not used."""

from collections.abc import Mapping
from typing import Any

from orca.sdk.proxies import ProxyConfig, ProxyRoute

Json = dict[str, Any]

CA_NAME = "Orca internal CA"
_INTERNAL = "local"
"""The name of the internal authority in Caddy's storage."""
_LONGEST_OF_CADDY = 239


def render_tls_app(config: ProxyConfig) -> Json:
    """Return the certificates to issue and to load."""
    hosts = _hosts(config)
    internal = [route.hostname for route in hosts if route.tls == "internal"]
    app: Json = {
        "certificates": {
            "automate": [name for name in internal if not is_long(name)],
            "load_pem": [
                {"certificate": c.certificate, "key": c.private_key, "tags": [c.id]} for c in config.certificates
            ],
        },
        # A slow OCSP responder must not delay a configuration; the public CAs abandoned OCSP in 2025.
        "disable_ocsp_stapling": True,
        # A full disk must not prevent the proxy from starting with the certificates that it has.
        "disable_storage_check": True,
    }
    if internal:
        app["automation"] = {"policies": [{"subjects": internal, "issuers": [{"module": "internal"}]}]}
    return app


def is_long(hostname: str) -> bool:
    """Whether the name is too long for Caddy's storage, so that `long_names` issues its certificate."""
    return len(hostname.replace("*", "wildcard_")) > _LONGEST_OF_CADDY


def render_pki_app() -> Json:
    """Return the internal CA, which exists from the start, so that its root can be installed before the first site."""
    return {"certificate_authorities": {"local": {"name": CA_NAME, "install_trust": False}}}


def render_names(config: ProxyConfig, long: Mapping[str, str]) -> dict[str, str]:
    """Return the files for the edge's handshakes, by file name: certificate and key of a hostname, or their path in
    Caddy's storage without the extension. `long` has those of names that are too long for that storage.
    """
    custom = {certificate.id: certificate for certificate in config.certificates}
    names: dict[str, str] = {}
    for route in _hosts(config):
        if route.tls == "custom":
            certificate = custom[route.certificate_id or ""]
            text = f"{certificate.certificate.rstrip()}\n{certificate.private_key.rstrip()}\n"
        elif route.hostname in long:
            text = long[route.hostname]
        else:
            stored = route.hostname.replace("*", "wildcard_")
            text = f"storage/certificates/{_INTERNAL}/{stored}/{stored}"
        names[route.hostname.replace("*.", "_.", 1)] = text
    return names


def _hosts(config: ProxyConfig) -> list[ProxyRoute]:
    """Return one route per TLS hostname, in order of precedence, else in a stable order."""
    hosts = {route.hostname: route for route in config.routes if route.tls != "off"}
    return sorted(hosts.values(), key=lambda r: (r.hostname.startswith("*."), r.certificate_id or "", r.hostname))
