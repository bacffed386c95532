"""Configurations and a layout that several test files look at."""

from ipaddress import ip_address
from pathlib import Path

from orca.providers.proxies.caddy.layout import Layout
from orca.sdk.proxies import BasicAuthUser, ProxyCertificate, ProxyConfig, ProxyRoute, Upstream

LAYOUT = Layout(Path("/data/proxy"), (ip_address("127.0.0.1"), ip_address("::1")), 8080, 8443, log_to_file=True)
PUBLIC = Layout(Path("/data/proxy"), (ip_address("0.0.0.0"),), 80, 443, log_to_file=False)
APP = Upstream("10.213.0.2", 8000)
BCRYPT = "$2b$12$" + "a" * 53

PLAIN = ProxyRoute("plain", "plain.example.org", upstreams=(APP,), title="Plain")
SECURE = ProxyRoute("secure", "secure.example.org", upstreams=(APP,), tls="internal")

CONFIGS: dict[str, ProxyConfig] = {
    "empty": ProxyConfig(()),
    "plain": ProxyConfig((PLAIN,)),
    "internal": ProxyConfig((SECURE,)),
    "everything": ProxyConfig(
        routes=(
            ProxyRoute("wild", "*.example.org", upstreams=(APP,), tls="internal"),
            PLAIN,
            ProxyRoute(
                "root", "a.example.org", tls="internal", upstreams=(APP, Upstream("fd00::2", 8000)), title="A & Co"
            ),
            ProxyRoute(
                "api",
                "a.example.org",
                path_prefix="/api/",
                tls="internal",
                upstreams=(APP,),
                strip_prefix=True,
                https_redirect=False,
                compress=False,
                max_body_bytes=1_048_576,
                timeout=1.5,
                basic_auth=(BasicAuthUser("ali", BCRYPT), BasicAuthUser("eve", BCRYPT)),
                allow_ips=("192.0.2.0/24", "2001:db8::/32"),
                maintenance=True,
            ),
            ProxyRoute("www", "www.a.example.org", redirect_to="https://a.example.org/", redirect_status=301),
            ProxyRoute("own", "own.example.com", tls="custom", certificate_id="mine", upstreams=(APP,)),
        ),
        certificates=(ProxyCertificate("mine", "CERTIFICATE", "KEY"), ProxyCertificate("unused", "C", "K")),
    ),
}
