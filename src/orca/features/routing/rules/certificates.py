"""When a certificate may be served, when it is worth a warning, and how patient ordering one is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from orca.features.routing.rules.hostnames import covers, is_public, is_wildcard, parse_hostname
from orca.kit.backoff import growing_pause

WARN_BEFORE = timedelta(days=14)
_LONGEST_CHAIN = 10
_SMALLEST_RSA = 2048
_FIRST_DELAY = timedelta(minutes=1)
_LONGEST_DELAY = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class ParsedCertificate:
    """What an uploaded certificate says of itself. `chain` is the PEM again, without anything in between."""

    hostnames: tuple[str, ...]
    issuer: str
    not_after: datetime
    chain: str


class Unusable(ValueError):
    """A certificate or key that must not be served; `field` is the input to blame."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def parse_certificate(certificate: str, private_key: str, now: datetime) -> ParsedCertificate:
    """Check that chain and key belong together and can be served now. Raises Unusable."""
    chain = _load_chain(certificate)
    _check_key(chain[0], private_key)
    _check_order(chain)
    leaf = chain[0]
    if leaf.not_valid_after_utc <= now:
        raise Unusable("certificate", f"the certificate expired on {leaf.not_valid_after_utc:%Y-%m-%d}")
    if leaf.not_valid_before_utc > now:
        raise Unusable("certificate", f"the certificate is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M}")
    return ParsedCertificate(
        hostnames=_names(leaf),
        issuer=issuer_of(leaf),
        not_after=leaf.not_valid_after_utc,
        chain="".join(each.public_bytes(Encoding.PEM).decode() for each in chain),
    )


def certifies(names: list[str], hostname: str) -> bool:
    """Whether a certificate with these names may be shown for the hostname; a wildcard needs the same wildcard."""
    return any(covers(name, hostname) for name in names)


def default_tls(hostname: str) -> str:
    """`acme` for names that a public authority can certify over HTTP, else `internal`."""
    return "acme" if is_public(hostname) and not is_wildcard(hostname) else "internal"


def is_expiring(not_after: datetime, now: datetime) -> bool:
    """Whether somebody should be told."""
    return not_after - now < WARN_BEFORE


def next_check_delay(failures: int) -> timedelta:
    """How long to wait after so many failed preflights: a minute, doubling, six hours at most."""
    return growing_pause(failures, first=_FIRST_DELAY, longest=_LONGEST_DELAY)


def _load_chain(pem: str) -> list[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise Unusable("certificate", "this is no certificate in PEM form (-----BEGIN CERTIFICATE-----)") from error
    if len(chain) > _LONGEST_CHAIN:
        raise Unusable("certificate", f"the chain has more than {_LONGEST_CHAIN} certificates")
    return chain


def _check_key(leaf: x509.Certificate, pem: str) -> None:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError as error:
        raise Unusable("private_key", "the key is protected by a passphrase; remove it first") from error
    except Exception as error:  # the library raises whatever its parsers raise; all of it means one thing
        raise Unusable("private_key", "this is no private key in PEM form (-----BEGIN PRIVATE KEY-----)") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise Unusable("private_key", "browsers accept RSA and ECDSA keys only")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _SMALLEST_RSA:
        raise Unusable("private_key", f"RSA keys must have {_SMALLEST_RSA} bits or more")
    encoding = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(*encoding) != leaf.public_key().public_bytes(*encoding):
        raise Unusable("private_key", "the key does not belong to the first certificate of the chain")


def _check_order(chain: list[x509.Certificate]) -> None:
    for issued, issuer in pairwise(chain):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            message = "the chain is out of order: each certificate must be followed by the one that signed it"
            raise Unusable("certificate", message) from error


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = dict.fromkeys(_parsed(name) for name in found.get_values_for_type(x509.DNSName))
    except (x509.ExtensionNotFound, ValueError) as error:
        raise Unusable("certificate", "the certificate has no usable subject alternative names") from error
    usable = tuple(name for name in names if name is not None)
    if not usable:
        raise Unusable("certificate", "the certificate names no hosts in its subject alternative names")
    return usable


def _parsed(name: str) -> str | None:
    try:
        return parse_hostname(name)
    except ValueError:
        return None  # valid in a certificate, but no name that could have a route


def issuer_of(leaf: x509.Certificate) -> str:
    """Who signed it, as people call it."""
    for attribute in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        values = leaf.issuer.get_attributes_for_oid(attribute)
        if values:
            return str(values[0].value)[:255]
    return leaf.issuer.rfc4514_string()[:255]
