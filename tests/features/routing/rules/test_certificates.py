"""What may be uploaded, and when it is time to worry."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from tests.features.routing.bench import Issued, issue

from orca.features.routing.rules.certificates import (
    Unusable,
    certifies,
    default_tls,
    is_expiring,
    next_check_delay,
    parse_certificate,
)

NOW = datetime.now(UTC)


def test_a_chain_in_order() -> None:
    root = issue()
    leaf = issue("Shop.example.org", "*.example.org", "not_a_host.example.org", issuer=root)
    parsed = parse_certificate(f"comment\n{leaf.certificate}\n\n{root.certificate}", leaf.key, NOW)
    assert parsed.hostnames == ("shop.example.org", "*.example.org")
    assert parsed.issuer == "Test CA"
    assert parsed.chain == leaf.certificate + root.certificate
    assert timedelta(days=89) < parsed.not_after - NOW < timedelta(days=91)


def test_a_key_next_to_the_chain_is_not_kept_in_the_open() -> None:
    leaf = issue("shop.example.org")
    parsed = parse_certificate(leaf.key + leaf.certificate, leaf.key, NOW)
    assert "PRIVATE" not in parsed.chain


def _pem(key, encryption=None) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


def _own(issued: Issued) -> tuple[str, str]:
    return issued.certificate, issued.key


def _swapped(issued: Issued) -> tuple[str, str]:
    return issued.key, issued.certificate


def _with_passphrase(issued: Issued) -> tuple[str, str]:
    return issued.certificate, _pem(issued.signer, BestAvailableEncryption(b"x"))


def _under_a_stranger(issued: Issued) -> tuple[str, str]:
    return issued.certificate + issue().certificate, issued.key


CASES = {
    "expired": ("certificate", "expired", lambda: _own(issue("a.org", days=-0.5))),
    "early": ("certificate", "not valid before", lambda: _own(issue("a.org", start=timedelta(days=1)))),
    "other key": ("private_key", "does not belong", lambda: (issue("a.org").certificate, issue("a.org").key)),
    "no names": ("certificate", "alternative names", lambda: _own(issue())),
    "no pem": ("certificate", "no certificate in PEM", lambda: ("hello", issue("a.org").key)),
    "empty": ("certificate", "no certificate in PEM", lambda: ("", "")),
    "no key": ("private_key", "no private key in PEM", lambda: (issue("a.org").certificate, "hello")),
    "swapped": ("certificate", "no certificate in PEM", lambda: _swapped(issue("a.org"))),
    "passphrase": ("private_key", "passphrase", lambda: _with_passphrase(issue("a.org"))),
    "edwards": (
        "private_key",
        "RSA and ECDSA",
        lambda: (issue("a.org").certificate, _pem(ed25519.Ed25519PrivateKey.generate())),
    ),
    "small": (
        "private_key",
        "2048 bits",
        lambda: (issue("a.org").certificate, _pem(rsa.generate_private_key(65537, 1024))),
    ),
    "no chain": ("certificate", "out of order", lambda: _under_a_stranger(issue("a.org", issuer=issue()))),
    "too long": ("certificate", "more than 10", lambda: (issue("a.org").certificate * 11, "")),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_with_the_field_to_blame(case: str) -> None:
    field, reason, make = CASES[case]
    certificate, key = make()
    with pytest.raises(Unusable, match=reason) as caught:
        parse_certificate(certificate, key, NOW)
    assert caught.value.field == field


def test_a_wrong_key_is_never_quoted() -> None:
    secret = "CANARY-5f1c"
    with pytest.raises(Unusable) as caught:
        parse_certificate(issue("a.org").certificate, f"-----BEGIN PRIVATE KEY-----\n{secret}\n", NOW)
    assert secret not in str(caught.value)


def test_certifies() -> None:
    assert certifies(["a.org", "*.b.org"], "x.b.org")
    assert certifies(["*.b.org"], "*.b.org")
    assert not certifies(["x.b.org"], "*.b.org")
    assert not certifies(["*.b.org"], "b.org")


@pytest.mark.parametrize(
    ("hostname", "mode"), [("a.org", "acme"), ("a.localhost", "internal"), ("nas", "internal"), ("*.a.org", "internal")]
)
def test_tls_by_name(hostname: str, mode: str) -> None:
    assert default_tls(hostname) == mode


def test_two_weeks_are_soon() -> None:
    assert is_expiring(NOW + timedelta(days=13, hours=23), NOW)
    assert not is_expiring(NOW + timedelta(days=14, minutes=1), NOW)


def test_patience_grows_and_ends() -> None:
    delays = [next_check_delay(failures) for failures in range(1, 40)]
    assert delays[:4] == [timedelta(minutes=m) for m in (1, 2, 4, 8)]
    assert delays == sorted(delays)
    assert delays[-1] == timedelta(hours=6)
