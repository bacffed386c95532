"""Which certificate each hostname gets, and who makes it: nothing is left to Caddy's automatic HTTPS."""

from itertools import groupby
from typing import Any

from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import AcmeAccount, ProxyConfig, ProxyRoute

Json = dict[str, Any]

CA_NAME = "Orca internal CA"


def render_connection_policies(config: ProxyConfig) -> list[Json]:
    """One policy per certificate source; a handshake for any other name is refused."""
    policies: list[Json] = []
    hosts = _hosts(config)
    for certificate_id, group in groupby(hosts, key=lambda route: route.certificate_id):
        policy: Json = {"match": {"sni": [route.hostname for route in group]}}
        if certificate_id is not None:
            policy["certificate_selection"] = {"any_tag": [certificate_id]}
        policies.append(policy)
    # Never matched; without any policy the listener would speak plain HTTP.
    return policies or [{"match": {"sni": ["orca.invalid"]}}]


def render_tls_app(config: ProxyConfig, layout: Layout) -> Json:
    """Certificates to manage and to load, and the issuers behind them."""
    hosts = _hosts(config)
    managed = {mode: [route.hostname for route in hosts if route.tls == mode] for mode in ("internal", "acme")}
    policies: list[Json] = []
    if managed["internal"]:
        policies.append({"subjects": managed["internal"], "issuers": [{"module": "internal"}]})
    if managed["acme"] and config.acme:
        policies.append({"subjects": managed["acme"], "issuers": [_acme_issuer(config.acme, layout)]})
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


def _hosts(config: ProxyConfig) -> list[ProxyRoute]:
    """One route per TLS hostname, in order of precedence and stable otherwise."""
    hosts = {route.hostname: route for route in config.routes if route.tls != "off"}
    return sorted(hosts.values(), key=lambda r: (r.hostname.startswith("*."), r.certificate_id or "", r.hostname))


def _acme_issuer(account: AcmeAccount, layout: Layout) -> Json:
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
