"""Caddy keeps the proxy contract, for Orca and for visitors."""

from orca.sdk.testing.proxies import ProxyConformance
from orca.sdk.testing.proxy_traffic import ProxyTrafficConformance


class TestCaddy(ProxyConformance):
    pass


class TestCaddyTraffic(ProxyTrafficConformance):
    pass
