"""Forwarded headers are believed from configured proxies only, hop by hop from the right."""

from ipaddress import ip_address

import pytest

from orca.features.access.client_address import choose_peer

TRUSTED = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("socket_peer", "hops", "peer"),
    [
        ("203.0.113.7", ["1.2.3.4"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6", " 1.2.3.4 "], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6", "1.2.3.4", "10.9.9.9"], "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4", "garbage"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4", ""], "10.0.0.1"),
        ("10.0.0.1", ["10.1.1.1", "10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", ["[2001:db8::1]"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:9.9.9.9"], "9.9.9.9"),
    ],
)
def test_the_rightmost_hop_that_is_no_trusted_proxy_is_the_peer(socket_peer: str, hops: list[str], peer: str) -> None:
    assert str(choose_peer(ip_address(socket_peer), hops, TRUSTED)) == peer


def test_without_trusted_proxies_no_header_is_believed() -> None:
    assert str(choose_peer(ip_address("127.0.0.1"), ["1.2.3.4"], ())) == "127.0.0.1"
