"""The shipped fake keeps the contract it stands in for."""

import pytest

from orca.errors import ProviderUnavailable, RequestRefused
from orca.sdk.proxies import ProxyConfig
from orca.sdk.testing.fake_proxy import FakeProxy
from orca.sdk.testing.proxies import OTHER, SITE, ProxyConformance


class TestFakeProxy(ProxyConformance):
    @pytest.fixture
    def proxy(self) -> FakeProxy:
        return FakeProxy()


async def test_it_refuses_what_it_is_told_to():
    proxy = FakeProxy(running=True, refused={OTHER.id: "is not wanted"})
    with pytest.raises(RequestRefused, match="not wanted"):
        await proxy.apply(ProxyConfig((SITE, OTHER)))
    assert proxy.served == ProxyConfig(())


async def test_it_can_be_out_of_reach():
    proxy = FakeProxy(running=True, down=True)
    with pytest.raises(ProviderUnavailable):
        await proxy.inspect()
