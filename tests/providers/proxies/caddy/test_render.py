"""Every byte of Caddy's configuration, and that it means what was asked."""

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from string import printable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orca.errors import RequestRefused
from orca.providers.proxies.caddy.check import check_config
from orca.providers.proxies.caddy.normalise import normalise
from orca.providers.proxies.caddy.parse import parse
from orca.providers.proxies.caddy.render import probe_token, render
from orca.providers.proxies.caddy.render_edge import CertificateDoor, render_edge
from orca.providers.proxies.caddy.tls import render_names
from orca.providers.proxies.caddy.upstreams import render_upstreams
from orca.sdk.proxies import BasicAuthUser, ProxyConfig, ProxyRoute, Upstream

from . import samples

EDGE = render_edge(samples.LAYOUT, CertificateDoor(9443, "TOKEN"))
GOLDEN = Path(__file__).with_name("golden")


@pytest.mark.parametrize("name", samples.CONFIGS)
def test_golden(name: str):
    """Run with UPDATE_GOLDEN=1 after a wanted change, and read the difference."""
    text = json.dumps(render(samples.CONFIGS[name], samples.LAYOUT), indent=1, ensure_ascii=False) + "\n"
    file = GOLDEN / f"{name}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


def test_golden_edge():
    text = json.dumps(EDGE, indent=1, ensure_ascii=False) + "\n"
    file = GOLDEN / "edge.json"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


def test_names_lead_to_certificates():
    """The edge's files: one per hostname with TLS, with what the router has or was given."""
    names = render_names(normalise(samples.CONFIGS["everything"]), {})
    assert sorted(names) == ["_.example.org", "a.example.org", "own.example.com"]
    assert names["own.example.com"] == "CERTIFICATE\nKEY\n"
    assert names["_.example.org"] == "storage/certificates/local/wildcard_.example.org/wildcard_.example.org"
    assert names["a.example.org"] == "storage/certificates/local/a.example.org/a.example.org"


@pytest.mark.parametrize("name", samples.CONFIGS)
def test_what_is_rendered_is_what_was_meant(name: str):
    config = normalise(samples.CONFIGS[name])
    assert parse(render(config, samples.LAYOUT), render_upstreams(config)) == config


def test_public_ports_are_not_named_in_redirects():
    text = json.dumps(render(samples.CONFIGS["internal"], samples.PUBLIC))
    assert "https://{http.request.host}{http.request.uri}" in text


def test_listeners_are_explicit():
    server = EDGE["apps"]["http"]["servers"]["edge"]
    assert server["listen"] == ["tcp4/127.0.0.1:8080", "tcp6/[::1]:8080", "tcp4/127.0.0.1:8443", "tcp6/[::1]:8443"]
    assert server["automatic_https"] == {"disable": True}


def test_only_one_route_differs_when_one_route_changes():
    """Each site stands alone, apart from the token that tells configurations apart."""

    def sites(config: ProxyConfig) -> dict[str, str]:
        document = json.loads(json.dumps(render(config, samples.LAYOUT)).replace(probe_token(config), "TOKEN"))
        (server,) = document["apps"]["http"]["servers"].values()
        return {site["match"][0]["host"][0]: json.dumps(site) for site in server["routes"][1:-1]}

    before = samples.CONFIGS["everything"]
    after = replace(
        before, routes=tuple(replace(r, maintenance=r.id == "plain" or r.maintenance) for r in before.routes)
    )
    old, new = sites(before), sites(after)
    assert [place for place in new if old[place] != new[place]] == ["plain.example.org"]


def test_a_new_address_changes_no_configuration():
    """Redeployments must not reload anything; nor must starting and stopping."""
    other = Upstream("10.213.0.9", 80)
    configs = [
        ProxyConfig((replace(samples.PLAIN, upstreams=upstreams),))
        for upstreams in ((), (samples.APP,), (other,), (samples.APP, other))
    ]
    documents = [render(config, samples.LAYOUT) for config in configs]
    assert all(document == documents[0] for document in documents)
    assert render_upstreams(configs[0]) == {}
    assert render_upstreams(configs[2]) == {"plain.0": "10.213.0.9:80", "plain.1": "10.213.0.9:80"}


@pytest.mark.parametrize(("few", "many"), [(3, 12), (13, 60)])
def test_scaling_changes_no_configuration(few: int, many: int):
    """And each replica gets its share, give or take one slot."""
    documents = []
    for count in (few, few + 1, many):
        replicas = tuple(Upstream(f"10.213.0.{number}", 80) for number in range(count))
        config = ProxyConfig((replace(samples.PLAIN, upstreams=replicas),))
        documents.append(render(config, samples.LAYOUT))
        shares = Counter(render_upstreams(config).values())
        assert len(shares) == count
        assert max(shares.values()) - min(shares.values()) <= 1
    assert documents[0] == documents[1] == documents[2]


def test_more_replicas_than_any_size_have_a_slot_each():
    replicas = tuple(Upstream("10.213.0.1", 80 + number) for number in range(61))
    config = ProxyConfig((replace(samples.PLAIN, upstreams=replicas),))
    assert len(render_upstreams(config)) == 61


def test_a_plain_host_under_a_secure_wildcard_is_not_shown_over_https():
    document = render(samples.CONFIGS["everything"], samples.LAYOUT)
    (server,) = document["apps"]["http"]["servers"].values()
    (site,) = (each for each in server["routes"][1:-1] if each["match"] == [{"host": ["plain.example.org"]}])
    *blocks, last = site["handle"][0]["routes"]
    over_tls = {"header": {"X-Orca-Tls": ["tls*"]}}
    assert all(block["match"][0]["not"] == [over_tls] for block in blocks)
    assert last == {"handle": [{"handler": "invoke", "name": "unknown"}]}


@pytest.mark.parametrize("document", [{}, {"apps": {}}, {"apps": {"http": {"servers": {"srv0": {}}}}}, {"apps": None}])
def test_foreign_documents_are_recognised(document: dict):
    with pytest.raises(ValueError, match="not a configuration made by Orca"):
        parse(document, {})


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
hostnames = st.builds(
    lambda wild, parts: wild + ".".join(parts), st.sampled_from(["", "*."]), st.lists(labels, min_size=1, max_size=4)
)
anything = st.text(printable, max_size=20)
routes = st.builds(
    ProxyRoute,
    id=st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True),
    hostname=st.one_of(hostnames, anything),
    path_prefix=st.one_of(
        st.just("/"), st.from_regex(r"/[A-Za-z0-9._~-]{1,5}(/[a-z]{1,3})?", fullmatch=True), anything
    ),
    upstreams=st.lists(
        st.builds(Upstream, st.one_of(st.ip_addresses().map(str), anything), st.integers(0, 65536)), max_size=3
    ).map(tuple),
    strip_prefix=st.booleans(),
    redirect_to=st.one_of(st.none(), st.just("https://example.org/x"), anything),
    redirect_status=st.sampled_from([301, 302, 307, 308]),
    tls=st.sampled_from(["off", "internal"]),
    https_redirect=st.booleans(),
    compress=st.booleans(),
    max_body_bytes=st.one_of(st.none(), st.integers(1, 10**12)),
    timeout=st.one_of(st.none(), st.floats(0.001, 3600)),
    basic_auth=st.lists(st.builds(BasicAuthUser, anything, st.just(samples.BCRYPT)), max_size=2).map(tuple),
    allow_ips=st.lists(st.one_of(st.ip_addresses().map(str), anything), max_size=2).map(tuple),
    maintenance=st.booleans(),
    title=st.one_of(anything, st.text(max_size=30)),
)


@given(st.lists(routes, max_size=4).map(tuple))
def test_whatever_passes_the_check_survives_the_round_trip(found: tuple[ProxyRoute, ...]):
    """Refused, or rendered and read back as exactly the same thing; and no brace but ours is left."""
    config = ProxyConfig(found)
    try:
        check_config(config)
    except RequestRefused as refusal:
        assume(bool(refusal.hint))
        return
    config = normalise(config)
    document = render(config, samples.LAYOUT)
    assert parse(json.loads(json.dumps(document)), render_upstreams(config)) == config
    known = (
        "{http.vars.orca_name}",
        "{http.vars.client_ip}",
        "{http.error.status_code}",
        "{http.error.status_text}",
        "{http.request.",
        "{file.",
    )
    strings = [text for text in _strings(document["apps"]["http"]) if "{" in text and "<style>" not in text]
    assert all(text.startswith(known) or text.startswith("https://") for text in strings), strings


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [value] if isinstance(value, str) else []
