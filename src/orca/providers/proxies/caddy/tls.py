"""Which certificate each hostname gets, and who makes it: nothing is left to Caddy's automatic HTTPS."""

import re
from typing import Any
from urllib.parse import urlsplit

from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import AcmeAccount, ProxyConfig, ProxyRoute

Json = dict[str, Any]

CA_NAME = "Orca internal CA"
_INTERNAL = "local"
"""How Caddy's storage names the internal authority."""


def render_tls_app(config: ProxyConfig, layout: Layout) -> Json:
    """Certificates to manage and to load, and the issuers behind them."""
    hosts = _hosts(config)
    managed = {mode: [route.hostname for route in hosts if route.tls == mode] for mode in ("internal", "acme")}
    policies: list[Json] = []
    if managed["internal"]:
        policies.append({"subjects": managed["internal"], "issuers": [{"module": "internal"}]})
    if managed["acme"] and config.acme:
        policies.append({"subjects": managed["acme"], "issuers": [render_acme_issuer(config.acme, layout)]})
    app: Json = {
        "certificates": {
            "automate": managed["internal"] + managed["acme"],
            "load_pem": [
                {"certificate": c.certificate, "key": c.private_key, "tags": [c.id]} for c in config.certificates
            ],
        },
        # A responder that is slow must not make a configuration slow; the public CAs gave OCSP up in 2025.
        "disable_ocsp_stapling": True,
        # A full disk must not keep the proxy from starting with the certificates it has.
        "disable_storage_check": True,
    }
    if policies:
        app["automation"] = {"policies": policies}
    return app


def render_pki_app() -> Json:
    """The internal CA, there from the start so that its root can be installed before the first site."""
    return {"certificate_authorities": {"local": {"name": CA_NAME, "install_trust": False}}}


def render_names(config: ProxyConfig) -> dict[str, str]:
    """File name -> the certificate and key of a hostname, or where Caddy's storage has them, for the edge's handshakes:
    without their endings, the best place first.

    A name that waits for its public certificate shows the internal one, if it has one.
    """
    custom = {certificate.id: certificate for certificate in config.certificates}
    public = [_issuer_folder(config.acme.directory_url)] if config.acme else []
    names: dict[str, str] = {}
    for route in _hosts(config):
        if route.tls == "custom":
            certificate = custom[route.certificate_id or ""]
            text = f"{certificate.certificate.rstrip()}\n{certificate.private_key.rstrip()}\n"
        else:
            stored = route.hostname.replace("*", "wildcard_")
            issuers = [*(public if route.tls == "acme" else []), _INTERNAL]
            text = "\n".join(f"storage/certificates/{issuer}/{stored}/{stored}" for issuer in issuers)
        names[route.hostname.replace("*.", "_.", 1)] = text
    return names


def _issuer_folder(directory_url: str) -> str:
    """How Caddy's storage names an ACME authority."""
    parts = urlsplit(directory_url)
    path = parts.path.replace("/", "-").strip("-")
    key = f"{parts.netloc}-{path}" if path else parts.netloc
    return re.sub(r"[^\w@.-]", "", key.lower().replace("+", "_plus_").replace(":", "-").replace("..", ""))


def _hosts(config: ProxyConfig) -> list[ProxyRoute]:
    """One route per TLS hostname, in order of precedence and stable otherwise."""
    hosts = {route.hostname: route for route in config.routes if route.tls != "off"}
    return sorted(hosts.values(), key=lambda r: (r.hostname.startswith("*."), r.certificate_id or "", r.hostname))


def render_acme_issuer(account: AcmeAccount, layout: Layout) -> Json:
    """Whoever orders, or answers for an order, does so in the same way."""
    issuer: Json = {
        "module": "acme",
        "ca": account.directory_url,
        "challenges": {
            "http": {"alternate_port": layout.http_port},
            "tls-alpn": {"alternate_port": layout.https_port},
            "bind_host": str(layout.addresses[0]),
        },
    }
    if account.email:
        issuer["email"] = account.email
    if account.ca_root:
        issuer["trusted_roots_pem_files"] = [str(layout.acme_root(account.ca_root))]
    return issuer
