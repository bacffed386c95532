"""Hostnames: one spelling of each, nothing that could mean something to a program, and none that belongs to another service or to the panel."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.features.routing.rules.hostnames import (
    automatic_hostname,
    covers,
    is_above,
    is_public,
    is_reserved,
    names_above,
    overlap,
    panel_hostnames,
    parse_hostname,
)


def wide(text: str) -> str:
    """The full-width twins of ASCII characters, which look the same."""
    return "".join(chr(ord(each) + 0xFEE0) for each in text)


META = [
    ";", "&", "|", "<", ">", "`", "$(x)", "${x}", "'", '"', "\\", "\n", "\r", "\x00", "%", "../", "{", "}", ")", "(",
    "@", "/", "?", "#", "*", "_", " ", "\t", *(wide(each) for each in ";&|$<`/"), "\u202e", "\u2066", "\u200b\u200d",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "hostname"),
    [
        ("example.org", "example.org"),
        ("EXAMPLE.Org", "example.org"),
        ("example.org.", "example.org"),
        ("example.org:8443", "example.org"),
        ("Example.ORG.:443", "example.org"),
        ("  example.org ", "example.org"),
        ("*.Example.org", "*.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        (wide("example.") + "org", "example.org"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("faß.de", "xn--fa-hia.de"),
        ("💩.la", "xn--ls8h.la"),
        ("xn--zn8h.cf", "xn--zn8h.cf"),
        ("i❤️.ws", "xn--i-7iq.ws"),
        ("r3---sn.example.org", "r3---sn.example.org"),
        ("localhost", "localhost"),
        ("a.b.c.d.e.localhost", "a.b.c.d.e.localhost"),
        (f"{'a' * 63}.org", f"{'a' * 63}.org"),
        ("1.example.org", "1.example.org"),
        ("ab\u200bc.org", "abc.org"),
    ],
)
def test_one_spelling(text: str, hostname: str) -> None:
    assert parse_hostname(text) == hostname
    assert parse_hostname(hostname) == hostname


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "..", "*", "*.", "*.org", "a..b", ".example.org", "example..org", "-a.org", "a-.org", "a_b.org",
        "*a.org", "a.*.org", "*.*.org", "https://example.org", "example.org/path", "user@example.org", "[::1]", "::1",
        "127.0.0.1", "1.2.3.4.", wide("1.2.3.4"), "0x7f.1", "example.0x", "example.123", "example.org:", "example.org:http",
        "example.org:123456", "xn--.org", "xn--a.org", "xn--a-ecp.ru\n", "\u200da.org",
        f"{'a' * 64}.org", f"{'a.' * 126}aaaa", "a" * 65536, "例" * 400, "xn--80ak6aa92e-.com",
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".{10}"):
        parse_hostname(text)


@pytest.mark.parametrize("position", ["{}example.org", "exa{}mple.org", "example.org{}", "{}.example.org"])
@pytest.mark.parametrize("meta", META)
def test_nothing_that_means_something_elsewhere(meta: str, position: str) -> None:
    text = position.format(meta)
    if text.strip(" ") in {"example.org", "*.example.org"}:
        return  # a space around it, and the one place where * belongs
    with pytest.raises(ValueError, match=r".{10}"):
        parse_hostname(text)


@given(st.text(max_size=80))
def test_whatever_comes_is_refused_or_clean(text: str) -> None:
    try:
        hostname = parse_hostname(text)
    except ValueError:
        return
    assert set(hostname.removeprefix("*.")) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert len(hostname) <= 253
    assert all(0 < len(label) <= 63 for label in hostname.split("."))
    assert parse_hostname(hostname) == hostname


@given(st.from_regex(r"[a-z0-9]{1,10}(\.[a-z]{2,8}){1,3}", fullmatch=True), st.sampled_from(META))
def test_meta_never_gets_in(hostname: str, meta: str) -> None:
    for text in (f"{hostname}{meta}x", f"x{meta}{hostname}"):
        try:
            parsed = parse_hostname(text)
        except ValueError:
            continue
        assert meta not in parsed or meta == "*"


@pytest.mark.parametrize(
    ("pattern", "hostname", "expected"),
    [
        ("a.org", "a.org", True),
        ("a.org", "b.org", False),
        ("*.a.org", "x.a.org", True),
        ("*.a.org", "x.y.a.org", False),
        ("*.a.org", "a.org", False),
        ("*.a.org", "*.a.org", True),
        ("x.a.org", "*.a.org", False),
        ("*.a.org", "xa.org", False),
    ],
)
def test_covers(pattern: str, hostname: str, expected: bool) -> None:
    assert covers(pattern, hostname) is expected
    assert overlap(pattern, hostname) is (expected or covers(hostname, pattern))


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("panel.example.org", True),
        ("*.example.org", True),
        ("*.apps.example.net", True),
        ("localhost", True),
        ("orca.internal", True),
        ("www.example.org", False),
        ("x.panel.example.org", False),
        ("shop.apps.example.net", False),
        ("apps.example.net", False),
    ],
)
def test_the_panel_keeps_its_names(hostname: str, expected: bool) -> None:
    panel = panel_hostnames("https://Panel.Example.ORG.:8443", ["orca.internal", "192.0.2.1"])
    assert panel == {"localhost", "panel.example.org", "orca.internal"}
    assert is_reserved(hostname, panel, "apps.example.net") is expected


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("apps.example.net", True),
        ("example.net", True),
        ("*.example.net", True),
        ("net", True),
        ("shop.apps.example.net", False),
        ("*.shop.apps.example.net", False),
        ("www.example.net", False),
        ("myapps.example.net", False),
        ("ample.net", False),
    ],
)
def test_names_above_all_projects(hostname: str, expected: bool) -> None:
    assert is_above(hostname, "apps.example.net") is expected


@pytest.mark.parametrize(
    ("slugs", "base", "hostname"),
    [
        (("web", "", "shop"), "localhost", "web-shop.localhost"),
        (("web", "staging", "shop"), "apps.example.org", "web-staging-shop.apps.example.org"),
        (("xn--a", "", "b--c"), "localhost", "xn-a-b-c.localhost"),
    ],
)
def test_automatic_names(slugs: tuple[str, ...], base: str, hostname: str) -> None:
    assert automatic_hostname(*slugs, base_domain=base) == hostname
    assert parse_hostname(hostname) == hostname


def test_automatic_names_stay_apart_and_short() -> None:
    plain = automatic_hostname("web", "shop", base_domain="localhost")
    salted = automatic_hostname("web", "shop", base_domain="localhost", salt="0197")
    assert salted != plain
    assert salted.startswith("web-shop-")
    long = automatic_hostname("a" * 40, "b" * 40, base_domain="localhost")
    other = automatic_hostname("a" * 40, "b" * 39 + "c", base_domain="localhost")
    assert long != other
    assert len(long.partition(".")[0]) == 63
    assert parse_hostname(long) == long


slug = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", fullmatch=True)


@given(slug, slug, st.sampled_from(["localhost", "apps.example.org", ".".join(["a" * 60] * 4)]), st.text(max_size=5))
def test_automatic_names_are_always_names(service: str, project: str, base: str, salt: str) -> None:
    hostname = automatic_hostname(service, project, base_domain=base, salt=salt)
    assert parse_hostname(hostname) == hostname


@pytest.mark.parametrize(
    ("hostname", "expected"),
    [
        ("example.org", True), ("a.b.example.com", True), ("*.example.com", True), ("localhost", False),
        ("x.localhost", False), ("printer.local", False), ("a.b.internal", False), ("my.test", False), ("nas", False),
        ("nas.home.arpa", False), ("nas.lan", False), ("localhost.example.org", True), ("local.dev", True),
    ],
)  # fmt: skip
def test_is_public(hostname: str, expected: bool) -> None:
    assert is_public(hostname) is expected


def test_names_above_end_below_the_base_domain() -> None:
    assert names_above("*.a.shop.apps.example.net", "apps.example.net") == [
        "a.shop.apps.example.net", "shop.apps.example.net",
    ]  # fmt: skip
    assert names_above("shop.localhost", "localhost") == ["shop.localhost"]
