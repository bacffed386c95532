"""Who is to blame when Caddy refuses the whole."""

import pytest

from orca.providers.connectors.local import LocalConnector
from orca.providers.proxies.caddy import CaddyConfig
from orca.providers.proxies.caddy.binary import find_binary
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.validate import Validator, find_culprit
from orca.sdk.proxies import ProxyConfig, ProxyRoute

from .samples import CONFIGS

ROUTES = [ProxyRoute(f"r{number:02}", f"r{number:02}.example.org") for number in range(20)]


class Judge:
    """Refuses configurations with any of these routes, and counts how often it was asked."""

    def __init__(self, *bad: str) -> None:
        self.bad = set(bad)
        self.asked = 0

    async def __call__(self, config: ProxyConfig) -> str | None:
        self.asked += 1
        found = sorted(self.bad & {route.id for route in config.routes})
        return f"{found[0]} is bad" if found else None


@pytest.mark.parametrize("bad", ["r00", "r07", "r19"])
async def test_the_culprit_is_found_by_halving(bad: str):
    judge = Judge(bad)
    culprit = await find_culprit(ProxyConfig(tuple(ROUTES)), ROUTES, judge)
    assert culprit == (ROUTES[int(bad[1:])], f"{bad} is bad")
    assert judge.asked <= 8


async def test_of_several_the_first_is_named():
    culprit = await find_culprit(ProxyConfig(tuple(ROUTES)), ROUTES, Judge("r04", "r12"))
    assert culprit == (ROUTES[4], "r04 is bad")


async def test_what_served_before_is_not_suspected():
    assert await find_culprit(ProxyConfig(tuple(ROUTES)), ROUTES[10:], Judge("r03")) is None
    assert await find_culprit(ProxyConfig(tuple(ROUTES)), [], Judge("r03")) is None


async def test_caddy_takes_what_we_render(config: CaddyConfig, connector: LocalConnector):
    """All the samples, and nothing is left of the asking: not even a certificate authority."""
    layout = Layout.of(config)
    layout.data_dir.mkdir(parents=True, exist_ok=True)
    validator = Validator(layout, connector, find_binary())
    errors = {name: await validator.find_error(sample) for name, sample in CONFIGS.items()}
    complaint = errors.pop("everything")
    assert complaint is not None
    assert "failed to find any PEM data in certificate input" in complaint
    assert set(errors.values()) == {None}
    assert list(config.data_dir.iterdir()) == []
