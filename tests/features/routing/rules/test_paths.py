"""Path prefixes and redirect targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.features.routing.rules.paths import is_loop, parse_prefix, parse_redirect, route_url, within


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("/", "/"), ("/api", "/api"), ("/api/", "/api"), ("/api/v1", "/api/v1"), ("/@scope/a.b~c", "/@scope/a.b~c")],
)
def test_prefix(text: str, prefix: str) -> None:
    assert parse_prefix(text) == prefix


@pytest.mark.parametrize(
    "text",
    [
        "", "api", "//", "//a", "/a//b", "/.", "/..", "/a/../b", "/a/.", "/a b", "/a%2f", "/*", "/a*", "/{x}", "/a?b",
        "/a#b", "/a\n", "/a\r\n", "/a\x00", "/`a", "/a;b", "/a&b", "/$(x)", "/'a", '/"a', "/a\\b", "/a|b", "/<a", "/ä",
        "/" + "a" * 255, "/" * 65536,
    ],
)  # fmt: skip
def test_prefix_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".{10}"):
        parse_prefix(text)


@given(st.text(max_size=60))
def test_prefix_is_refused_or_clean(text: str) -> None:
    try:
        prefix = parse_prefix("/" + text)
    except ValueError:
        return
    assert not set(prefix) & set(" *{}%?#\\`$;&|<>'\"()\n\r\0")
    assert parse_prefix(prefix) == prefix


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("https://www.example.org", "https://www.example.org"),
        ("https://www.example.org/", "https://www.example.org"),
        ("HTTP://Example.ORG:80/a/", "http://example.org/a"),
        ("https://example.org:8443/a", "https://example.org:8443/a"),
        ("https://bücher.example/a%20b", "https://xn--bcher-kva.example/a%20b"),
    ],
)
def test_redirect(text: str, target: str) -> None:
    assert parse_redirect(text) == target
    assert parse_redirect(target) == target


@pytest.mark.parametrize(
    "text",
    [
        "", "example.org", "//example.org", "/a", "ftp://example.org", "javascript:alert(1)", "https://", "https:///a",
        "https://user@example.org", "https://user:pw@example.org", "https://example.org?a=b", "https://example.org#a",
        "https://example.org/{http.vars.x}", "https://{env.HOME}/", "https://example.org/a b", "https://example.org/\r\nX: y",
        "https://example.org\nx", "https://example.org/%0d%0a", "https://example.org/%00", "https://example.org/../a",
        "https://example.org/%2e%2e/a", "https://example.org/a\\b", "https://example.org/`", "https://*.example.org",
        "https://127.0.0.1/", "https://[::1]/", "https://example.org:99999", "https://example.org/" + "a" * 500,
    ],
)  # fmt: skip
def test_redirect_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".{5}"):
        parse_redirect(text)


@given(st.text(max_size=60))
def test_redirect_is_refused_or_clean(text: str) -> None:
    for url in (f"https://example.org/{text}", f"https://{text}"):
        try:
            target = parse_redirect(url)
        except ValueError:
            continue
        assert target.isascii()
        assert not set(target) & set(" {}\\`$\"'<>\n\r\0?#|")
        assert parse_redirect(target) == target


@pytest.mark.parametrize(
    ("hostname", "prefix", "target", "expected"),
    [
        ("a.org", "/", "https://a.org", True),
        ("a.org", "/", "http://a.org:8080/x", True),
        ("a.org", "/", "https://b.org", False),
        ("a.org", "/old", "https://a.org/new", False),
        ("a.org", "/old", "https://a.org/OLD/x", True),
        ("a.org", "/old", "https://a.org/older", False),
    ],
)
def test_loops(hostname: str, prefix: str, target: str, expected: bool) -> None:
    assert is_loop(hostname, prefix, target) is expected


def test_within_goes_by_segments() -> None:
    assert within("/api", "/api")
    assert within("/API/x", "/api")
    assert within("/anything", "/")
    assert not within("/apiary", "/api")


def test_urls_leave_usual_ports_out() -> None:
    assert route_url("https", "a.org", "/", 443) == "https://a.org/"
    assert route_url("http", "a.org", "/api", 80) == "http://a.org/api"
    assert route_url("https", "a.org", "/", 8443) == "https://a.org:8443/"
