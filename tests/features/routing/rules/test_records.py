"""Which DNS records lead a hostname here, and what is said of those that are there."""

import pytest

from orca.features.routing.rules.records import Aim, choose_addresses, is_in_public_dns, is_relayed, plan_records

V4, V6, OTHER = "203.0.113.7", "2001:db8::7", "198.51.100.9"


def lines(aim: Aim, *answers: str) -> list[str]:
    return [f"{record.kind} {record.name} {record.value} {record.state}" for record in plan_records(aim, answers)]


@pytest.mark.parametrize(
    ("aim", "answers", "planned"),
    [
        (Aim("shop.org", [V4]), (V4,), [f"A shop.org {V4} right"]),
        (Aim("shop.org", [V4]), (), [f"A shop.org {V4} missing"]),
        (Aim("shop.org", [V4]), (OTHER,), [f"A shop.org {V4} elsewhere"]),
        (Aim("shop.org", [V4]), (V4, OTHER), [f"A shop.org {V4} elsewhere"]),
        (Aim("shop.org", [V4, V6]), (V4,), [f"A shop.org {V4} right", f"AAAA shop.org {V6} missing"]),
        (Aim("shop.org", [V4]), (V4, V6), [f"A shop.org {V4} right", "AAAA shop.org  elsewhere"]),
        (Aim("shop.org", []), (OTHER,), ["A shop.org  unknown"]),
        (Aim("www.shop.org", [V4], siblings=["shop.org"]), (V4,), ["CNAME www.shop.org shop.org right"]),
        (Aim("www.shop.org", [V4], siblings=["shop.org"]), (OTHER,), ["CNAME www.shop.org shop.org elsewhere"]),
        (Aim("www.shop.org", [V4]), (), [f"A www.shop.org {V4} missing"]),
        (Aim("web-shop.apps.org", [V4], "apps.org"), (V4,), [f"A *.apps.org {V4} right"]),
        (Aim("*.shop.org", [V4]), (V4,), [f"A *.shop.org {V4} right"]),
    ],
)
def test_records_are_planned_and_compared(aim: Aim, answers: tuple[str, ...], planned: list[str]) -> None:
    assert lines(aim, *answers) == planned


def test_the_setting_goes_before_what_the_machine_has() -> None:
    own = ["10.0.0.2", "127.0.0.1", "fe80::1%eth0", "9.9.9.9", "00:16:3e:00:00:01", "2620:fe::fe"]
    assert choose_addresses((), own) == ["9.9.9.9", "2620:fe::fe"]
    assert choose_addresses((V6, V4), own) == [V4, V6]


def test_relays_and_private_names_are_known() -> None:
    assert is_relayed(["104.16.1.1"])
    assert is_relayed([V4, "2606:4700::1"])
    assert not is_relayed([V4])
    assert is_in_public_dns("shop.org")
    assert not is_in_public_dns("web-shop.localhost")
