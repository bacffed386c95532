"""What is refused, with which words, before Caddy sees any of it."""

from dataclasses import replace

import pytest

from orca.errors import RequestRefused
from orca.providers.proxies.caddy.check import check_config
from orca.sdk.proxies import BasicAuthUser, ProxyCertificate, ProxyConfig, ProxyRoute, Upstream

from .samples import BCRYPT, CONFIGS, PLAIN


@pytest.mark.parametrize("name", CONFIGS)
def test_good_configurations_pass(name: str):
    check_config(CONFIGS[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "a:b"}, "unusable id"),
        ({"id": "../x"}, "unusable id"),
        ({"hostname": "a" * 64 + ".org"}, "invalid hostname"),
        ({"hostname": ".".join(["abcdefgh"] * 30)}, "invalid hostname"),
        ({"hostname": "-a.org"}, "invalid hostname"),
        ({"hostname": "a.*.org"}, "invalid hostname"),
        ({"hostname": "münchen.de"}, "invalid hostname"),
        ({"hostname": "a.org\n"}, "invalid hostname"),
        ({"hostname": "a.org:80"}, "invalid hostname"),
        ({"path_prefix": "/%61"}, "invalid path prefix"),
        ({"path_prefix": "//a"}, "invalid path prefix"),
        ({"path_prefix": "/./a"}, "invalid path prefix"),
        ({"path_prefix": ""}, "invalid path prefix"),
        ({"path_prefix": "/a\n"}, "invalid path prefix"),
        ({"upstreams": (Upstream("a b", 80),)}, "no address and port"),
        ({"upstreams": (Upstream("10.0.0.1", 65536),)}, "no address and port"),
        ({"redirect_to": "https://a.org/?q"}, "no plain http"),
        ({"redirect_to": "https://a.org:99999/"}, "no plain http"),
        ({"redirect_to": "https:///a"}, "no plain http"),
        ({"redirect_to": "//a.org"}, "no plain http"),
        ({"redirect_to": ""}, "no plain http"),
        ({"allow_ips": ("10.0.0.0/33",)}, "invalid network"),
        ({"allow_ips": ("fe80::1%eth0",)}, "invalid network"),
        ({"basic_auth": (BasicAuthUser("a b", BCRYPT),)}, "basic-auth user"),
        ({"basic_auth": (BasicAuthUser("a", "plain"),)}, "basic-auth user"),
        ({"basic_auth": (BasicAuthUser("a", BCRYPT), BasicAuthUser("a", BCRYPT))}, "basic-auth user"),
        ({"basic_auth": (BasicAuthUser("{env.HOME}", BCRYPT),)}, "basic-auth user"),
        ({"timeout": -1.0}, "limit"),
        ({"timeout": float("nan")}, "limit"),
        ({"max_body_bytes": 0}, "limit"),
        ({"max_body_bytes": 1 << 60}, "limit"),
        ({"title": "x" * 201}, "title"),
        ({"title": "\ud800"}, "title"),
        ({"tls": "custom"}, "unknown certificate None"),
    ],
    ids=str,
)
def test_bad_values_are_refused(change: dict, words: str):
    route = replace(PLAIN, **change)
    with pytest.raises(RequestRefused, match=words) as failure:
        check_config(ProxyConfig((route,)))
    assert failure.value.hint
    assert failure.value.details == {"route_id": route.id}
    assert "\n" not in failure.value.message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ProxyConfig((PLAIN, replace(PLAIN, hostname="b.org"))), "same id|another route has"),
        (ProxyConfig((PLAIN, replace(PLAIN, id="b", path_prefix="/"))), "taken by route plain"),
        (
            ProxyConfig((replace(PLAIN, path_prefix="/Api"), replace(PLAIN, id="b", path_prefix="/api/"))),
            "taken by route plain",
        ),
        (ProxyConfig((PLAIN, replace(PLAIN, id="b", path_prefix="/b", tls="internal"))), "wants TLS 'internal'"),
        (
            ProxyConfig(
                (replace(PLAIN, tls="custom", certificate_id="c"),), (ProxyCertificate("c", "{file./etc/shadow}", ""),)
            ),
            "not plain PEM",
        ),
        (ProxyConfig((), (ProxyCertificate("c", "", ""), ProxyCertificate("c", "", ""))), "same id"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_combinations_are_refused(config: ProxyConfig, words: str):
    with pytest.raises(RequestRefused, match=words) as failure:
        check_config(config)
    assert failure.value.hint


def test_a_secret_is_in_no_message():
    route = ProxyRoute("a", "a.org", basic_auth=(BasicAuthUser("ali", "CANARY"),))
    with pytest.raises(RequestRefused) as failure:
        check_config(ProxyConfig((route,)))
    assert "CANARY" not in f"{failure.value.message}{failure.value.hint}{failure.value.details}{route!r}"
