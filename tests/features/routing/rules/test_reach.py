"""Which addresses a stranger's name may make Orca connect to."""

import pytest

from orca.features.routing.rules.reach import judge_addresses

OWN = ["127.0.0.1", "203.0.113.9", "10.0.0.4", "8.8.4.4", "::1", "02:42:ac:11:00:02"]


@pytest.mark.parametrize("addresses", [["10.0.0.4"], ["127.0.0.1"], ["8.8.8.8"], ["8.8.4.4", "2606:4700::1111"]])
def test_own_and_public_addresses_may_be_asked(addresses: list[str]) -> None:
    assert judge_addresses("a.org", addresses, OWN) is None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5", "192.168.1.1", "172.17.0.1", "169.254.169.254", "127.0.0.2", "0.0.0.0", "::", "fe80::1%eth0",
        "fd00:ec2::254", "::ffff:10.0.0.5", "::ffff:169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255",
    ],
)  # fmt: skip
def test_neighbours_are_never_contacted(address: str) -> None:
    judged = judge_addresses("a.org", ["8.8.8.8", address], OWN)
    assert judged is not None
    assert address in judged.detail
    assert "A record" in judged.hint


def test_no_address_says_which_record_to_make() -> None:
    judged = judge_addresses("a.org", [], OWN)
    assert judged is not None
    assert judged.detail == "a.org has no address in the DNS"
    assert judged.hint.endswith("points to this machine (8.8.4.4).")


def test_a_name_with_a_hundred_addresses_is_not_followed() -> None:
    assert judge_addresses("a.org", [f"8.8.8.{n}" for n in range(100)], OWN) is not None
