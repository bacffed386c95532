"""What may be uploaded: every form that tools write is read, and what would not serve is refused with the reason."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from tests.features.routing.bench import Issued, issue

from orca.features.routing.rules.uploads import Unusable, parse_certificate

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


KEY = ec.generate_private_key(ec.SECP256R1())


def _special(key, *, usage=None, has_address: bool = False) -> tuple[str, str]:
    """A certificate of an authority that is not there."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Some Intermediate")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.org")])
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.org")]), critical=False)
    )  # fmt: skip
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if has_address:
        place = x509.UniformResourceIdentifier("http://ca.example/i.crt")
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM).decode(), _pem(key)


def _under(issuer: Issued) -> tuple[str, str]:
    leaf = issue("a.org", issuer=issuer)
    return leaf.certificate + issuer.certificate, leaf.key


def _request() -> str:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def _load(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


def _bundle(issued: Issued, password: bytes | None, *others: str) -> str:
    locked = BestAvailableEncryption(password) if password else NoEncryption()
    certificates = [_load(each) for each in others]
    data = pkcs12.serialize_key_and_certificates(b"x", issued.signer, _load(issued.certificate), certificates, locked)
    return base64.b64encode(data).decode()


def _der(issued: Issued) -> tuple[str, str]:
    key = issued.signer.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    certificate = _load(issued.certificate).public_bytes(Encoding.DER)
    return base64.b64encode(certificate).decode(), base64.encodebytes(key).decode()


def _pkcs7(leaf: Issued, root: Issued) -> str:
    both = [_load(leaf.certificate), _load(root.certificate)]
    return pkcs7.serialize_certificates(both, Encoding.PEM).decode()


ROOT = issue()
LEAF = issue("shop.example.org", issuer=ROOT)
CHAIN = LEAF.certificate + ROOT.certificate
FORMS: dict[str, Callable[[], tuple[str, str, str]]] = {
    "byte order mark": lambda: (f"\ufeff{CHAIN}", f"\ufeff{LEAF.key}", ""),
    "utf-16": lambda: (
        base64.b64encode(CHAIN.encode("utf-16")).decode(),
        base64.b64encode(LEAF.key.encode("utf-16")).decode(),
        "",
    ),
    "indented": lambda: (CHAIN.replace("\n", "\n    "), "  " + LEAF.key.replace("\n", "\n  "), ""),
    "windows": lambda: (CHAIN.replace("\n", "\r\n"), LEAF.key.replace("\n", "\r\n"), ""),
    "old mac": lambda: (CHAIN.replace("\n", "\r"), LEAF.key.replace("\n", "\r"), ""),
    "line ends as two signs": lambda: (CHAIN.replace("\n", "\\n"), LEAF.key.replace("\n", "\\n"), ""),
    "wrong order": lambda: (ROOT.certificate + LEAF.certificate, LEAF.key, ""),
    "twice": lambda: (LEAF.certificate + CHAIN, LEAF.key, ""),
    "passphrase given": lambda: (CHAIN, _pem(LEAF.signer, BestAvailableEncryption(b"secret")), "secret"),
    "pkcs7": lambda: (_pkcs7(LEAF, ROOT), LEAF.key, ""),
    "pkcs12": lambda: (_bundle(LEAF, b"secret", ROOT.certificate), "", "secret"),
    "pkcs12 without a password": lambda: (_bundle(LEAF, None, ROOT.certificate), "", ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_tools_write_is_read_and_kept_as_clean_pem(form: str) -> None:
    certificate, key, password = FORMS[form]()
    parsed = parse_certificate(certificate, key, NOW, password)
    assert parsed.hostnames == ("shop.example.org",)
    assert parsed.chain == CHAIN
    assert parsed.private_key == LEAF.key


def test_der_in_base64_is_read() -> None:
    lonely = issue("shop.example.org")
    parsed = parse_certificate(*_der(lonely), NOW)
    assert (parsed.chain, parsed.private_key) == (lonely.certificate, lonely.key)


def test_the_end_of_the_chain_is_what_ends_first() -> None:
    root = issue(days=3)
    leaf = issue("a.org", issuer=root, days=90)
    assert parse_certificate(leaf.certificate + root.certificate, leaf.key, NOW).not_after < NOW + timedelta(days=4)


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
    "no chain": ("certificate", "the chain is broken", lambda: _under_a_stranger(issue("a.org", issuer=issue()))),
    "too long": ("certificate", "more than 10", lambda: ("".join(issue().certificate for _ in range(11)), _pem(KEY))),
    "p-521": ("private_key", "P-256", lambda: _special(ec.generate_private_key(ec.SECP521R1()))),
    "secp256k1": ("private_key", "secp256k1", lambda: _special(ec.generate_private_key(ec.SECP256K1()))),
    "for clients": ("certificate", "not for servers", lambda: _special(KEY, usage=ExtendedKeyUsageOID.CLIENT_AUTH)),
    "intermediate missing": ("certificate", "intermediate.pem > chain.pem", lambda: _special(KEY, has_address=True)),
    "expired intermediate": ("certificate", "of the chain expired", lambda: _under(issue(days=-0.5))),
    "request": ("certificate", "request for a certificate", lambda: (_request(), _pem(KEY))),
    "locked p12": ("certificate", "needs its password", lambda: (_bundle(issue("a.org"), b"secret"), "")),
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
