"""Differences, in sentences."""

from dataclasses import replace

import pytest

from orca.providers.proxies.caddy.plan import changed_routes, plan_changes
from orca.sdk.proxies import ProxyCertificate, ProxyConfig, Upstream

from .samples import CONFIGS, PLAIN, SECURE

OWN = replace(PLAIN, id="own", hostname="own.org", tls="custom", certificate_id="mine")
MINE = ProxyCertificate("mine", "CERTIFICATE", "KEY")
RENEWED = ProxyCertificate("mine", "NEWER", "KEY")


@pytest.mark.parametrize(
    ("current", "desired", "sentences"),
    [
        (None, ProxyConfig(()), []),
        (None, ProxyConfig((PLAIN,)), ["add route plain.example.org/ -> 10.213.0.2:8000"]),
        (ProxyConfig((PLAIN,)), ProxyConfig(()), ["remove route plain.example.org/ -> 10.213.0.2:8000"]),
        (
            ProxyConfig((PLAIN,)),
            ProxyConfig((replace(PLAIN, upstreams=(), timeout=3),)),
            ["change route plain.example.org/ (upstreams, timeout)"],
        ),
        (None, ProxyConfig((replace(PLAIN, upstreams=()),)), ["add route plain.example.org/ -> down page"]),
        (
            None,
            ProxyConfig((replace(PLAIN, redirect_to="https://a.org/"),)),
            ["add route plain.example.org/ -> https://a.org"],
        ),
        (ProxyConfig((OWN,), (MINE,)), ProxyConfig((OWN,), (RENEWED,)), ["change certificate mine"]),
        (
            ProxyConfig((OWN,), (MINE,)),
            ProxyConfig(()),
            ["remove certificate mine", "remove route own.org/ -> 10.213.0.2:8000"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_sentences(current: ProxyConfig | None, desired: ProxyConfig, sentences: list[str]):
    assert [change.describe() for change in plan_changes(current, desired)] == sentences


@pytest.mark.parametrize("name", CONFIGS)
def test_the_same_is_no_change(name: str):
    config = CONFIGS[name]
    assert plan_changes(config, replace(config, routes=config.routes[::-1])) == []
    assert changed_routes(config, config) == []


def test_the_order_of_replicas_is_no_change():
    one, two = Upstream("10.0.0.1", 1), Upstream("10.0.0.2", 1)
    before, after = (ProxyConfig((replace(PLAIN, upstreams=pair),)) for pair in ((one, two), (two, one)))
    assert plan_changes(before, after) == []


def test_a_renewed_certificate_concerns_its_routes():
    before, after = ProxyConfig((OWN, SECURE), (MINE,)), ProxyConfig((OWN, SECURE), (RENEWED,))
    assert changed_routes(before, after) == [OWN]


def test_no_secret_in_a_sentence():
    changes = plan_changes(None, ProxyConfig((OWN,), (ProxyCertificate("mine", "PUBLIC", "CANARY"),)))
    assert not any("CANARY" in f"{change.describe()}{change!r}" for change in changes)
