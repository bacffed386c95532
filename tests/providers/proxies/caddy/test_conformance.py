"""Caddy keeps the proxy contract, for Orca and for visitors."""

import pytest

from orca.sdk.testing.proxies import ProxyConformance
from orca.sdk.testing.proxy_traffic import ProxyTrafficConformance

pytestmark = pytest.mark.slow


class TestCaddy(ProxyConformance):
    pass


class TestCaddyTraffic(ProxyTrafficConformance):
    pass
