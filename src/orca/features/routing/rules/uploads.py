"""Parses an uploaded certificate in every common format, and refuses one that could not be served."""

import base64
import binascii
import ssl
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from orca.features.routing.rules.certificates import certifies
from orca.features.routing.rules.hostnames import parse_hostname

_LONGEST_CHAIN = 10
_LONGEST_NAMED = 300
_SMALLEST_RSA, _LARGEST_RSA = 2048, 8192
_CURVES = (ec.SECP256R1, ec.SECP384R1)
"""The curves that every browser accepts. Chrome refuses P-521; no browser accepts the others."""
_BEGIN = "-----BEGIN "


@dataclass(frozen=True, slots=True)
class ParsedCertificate:
    """The contents of an uploaded certificate. `chain` and `private_key` are PEM, serialised again."""

    hostnames: tuple[str, ...]
    issuer: str
    not_after: datetime
    chain: str
    private_key: str


class Unusable(ValueError):
    """A certificate or key that must not be served; `field` is the input to blame."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def parse_certificate(
    certificate: str, private_key: str, now: datetime, password: str = "", *, is_validated: bool = False
) -> ParsedCertificate:
    """Check that chain and key belong together and can be served now. Raises Unusable.

    Both may be PEM, or DER in base64; a PKCS#12 file in base64, given as the certificate, holds the key as well.
    A stranger's upload decides how long this takes: it is read in a process of its own first (`unlock_upload`).
    `is_validated`: the numbers of an RSA key were checked before, which takes most of the time.
    """
    certificate, private_key = _from_utf16(certificate), _from_utf16(private_key)
    bundle = _load_pkcs12(certificate, password)
    if bundle is not None:
        chain, key = bundle
    else:
        chain, key = _load_chain(certificate), _load_key(private_key, password, is_validated=is_validated)
    _check_key(chain, key)
    chain = _in_order(chain)
    _check_times(chain, now)
    _check_purpose(chain[0])
    _check_complete(chain)
    return ParsedCertificate(
        hostnames=_names(chain[0]),
        issuer=issuer_of(chain[0]),
        not_after=min(link.not_valid_after_utc for link in chain),
        chain="".join(link.public_bytes(Encoding.PEM).decode() for link in chain),
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def read_issued(chain: str, private_key: str, hostname: str) -> str:
    """A chain that an authority issued for our own key, in PEM and in order. Raises Unusable.

    Its times are not looked at: visitors judge them by their clocks, and this machine's may be wrong. Certificates that
    belong to another path (cross-signed ones) stay behind those that follow.
    """
    found = _load_chain(chain)
    _check_key(found, _load_key(private_key, ""))
    names = _names(found[0])
    if not certifies(list(names), hostname):
        raise Unusable("certificate", f"it is for {', '.join(names)[:_LONGEST_NAMED]} and not for {hostname}")
    ordered, rest = _follow(found)
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in [*ordered, *rest])


def issuer_of(leaf: x509.Certificate) -> str:
    """Return the readable name of the issuer."""
    return _name(leaf.issuer)


def _name(name: x509.Name) -> str:
    for attribute in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        values = name.get_attributes_for_oid(attribute)
        if values:
            return str(values[0].value)[:255]
    return name.rfc4514_string()[:255]


def _clean(text: str) -> str:
    """Remove what editors and web forms add: a byte order mark, indentation, other or escaped line ends."""
    text = text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
    if "\n" not in text.strip():
        text = text.replace("\\n", "\n")
    return "\n".join(line.strip() for line in text.split("\n"))


def _from_utf16(text: str) -> str:
    """Decode a file that arrived in base64 because it is text in UTF-16, as PowerShell writes it."""
    data = _binary(text) or b""
    if not data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return text
    return data.decode("utf-16", errors="replace")


def _binary(text: str) -> bytes | None:
    """Return the bytes that base64 text encodes; None for PEM and for anything else."""
    if _BEGIN in text:
        return None
    try:
        return base64.b64decode("".join(text.split()), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _load_pkcs12(text: str, password: str) -> tuple[list[x509.Certificate], PrivateKeyTypes] | None:
    data = _binary(text)
    if data is None or _is_der_certificate(data):
        return None
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(data, password.encode() or None)
    except ValueError:
        if password or b"\x01\x07\x01" not in data[:64]:  # no mark of PKCS#7 data, which PKCS#12 begins with
            message = "this PKCS#12 file does not open with that password" if password else _NO_CERTIFICATE
            raise Unusable("certificate", message) from None
        raise Unusable("certificate", "this PKCS#12 file needs its password, or it is damaged") from None
    if key is None or leaf is None:
        missing = "key" if key is None else "certificate"
        raise Unusable("certificate", f"this PKCS#12 file holds no {missing}; export it again with `-inkey` and `-in`")
    return [leaf, *others], key


_NO_CERTIFICATE = (
    "this is no certificate in PEM form (-----BEGIN CERTIFICATE-----), nor DER or PKCS#12 in base64; "
    "`openssl x509 -in FILE -outform pem` writes PEM"
)


def _is_der_certificate(data: bytes) -> bool:
    try:
        x509.load_der_x509_certificate(data)
    except ValueError:
        return False
    return True


def _load_chain(text: str) -> list[x509.Certificate]:
    data, text = _binary(text), _clean(text)
    try:
        if data is not None:
            chain = [x509.load_der_x509_certificate(data)]
        elif f"{_BEGIN}PKCS7" in text:
            chain = pkcs7.load_pem_pkcs7_certificates(text.encode())
        else:
            chain = x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        if f"{_BEGIN}CERTIFICATE REQUEST" in text:
            message = "this is a request for a certificate (CSR); upload what the authority sent back for it"
            raise Unusable("certificate", message) from error
        raise Unusable("certificate", _NO_CERTIFICATE) from error
    chain = list(dict.fromkeys(chain))
    if len(chain) > _LONGEST_CHAIN:
        raise Unusable("certificate", f"the chain has more than {_LONGEST_CHAIN} certificates")
    return chain


def _load_key(text: str, password: str, *, is_validated: bool = False) -> PrivateKeyTypes:
    data, text = _binary(text), _clean(text)
    secret = password.encode() or None
    try:
        if data is not None:
            return load_der_private_key(data, secret)
        secret = secret if "ENCRYPTED" in text else None
        return load_pem_private_key(text.encode(), secret, unsafe_skip_rsa_key_validation=is_validated)
    except TypeError as error:
        message = "the key is protected by a passphrase: give it too, or remove it with `openssl pkey -in KEY -out KEY`"
        raise Unusable("private_key", message) from error
    except Exception as error:  # parsers raise many types, all for bad input
        message = "this is no private key in PEM form (-----BEGIN PRIVATE KEY-----)"
        if password and "ENCRYPTED" in text:
            message = "the key does not open with that passphrase"
        raise Unusable("private_key", message) from error


def _check_key(chain: list[x509.Certificate], key: PrivateKeyTypes) -> None:
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise Unusable("private_key", "browsers accept RSA and ECDSA keys only")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _SMALLEST_RSA:
        raise Unusable("private_key", f"RSA keys must have {_SMALLEST_RSA} bits or more")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size > _LARGEST_RSA:
        raise Unusable("private_key", f"RSA keys must have {_LARGEST_RSA} bits or fewer: clients refuse longer ones")
    if isinstance(key, ec.EllipticCurvePrivateKey) and not isinstance(key.curve, _CURVES):
        how = "make the key with P-256 (`-pkeyopt ec_paramgen_curve:P-256`)"
        message = f"not every browser takes the curve {key.curve.name}; {how}"
        raise Unusable("private_key", message)
    own = _public(key.public_key())
    matching = [link for link in chain if _public(link.public_key()) == own]
    if not matching:
        raise Unusable(
            "private_key",
            "the key does not belong to any certificate of the chain",
        )
    chain.remove(matching[0])
    chain.insert(0, matching[0])


def _public(key: object) -> bytes:
    try:
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]
    except (ValueError, TypeError, AttributeError):
        return b""


def _in_order(chain: list[x509.Certificate]) -> list[x509.Certificate]:
    """Return the key's own certificate first and then each issuer, whatever the order of the input."""
    ordered, rest = _follow(chain)
    if rest:
        names = ", ".join(f"“{_name(certificate.subject)}”" for certificate in rest)
        last = f"“{_name(ordered[-1].subject)}”, which “{issuer_of(ordered[-1])}” signed"
        raise Unusable("certificate", f"the chain is broken: after {last}, {names} does not follow")
    return ordered


def _follow(chain: list[x509.Certificate]) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    """Return the first certificate and its issuers in order, and separately those of another path."""
    ordered, rest = [chain[0]], chain[1:]
    while signer := next((certificate for certificate in rest if _has_signed(certificate, ordered[-1])), None):
        ordered.append(signer)
        rest.remove(signer)
    return ordered, rest


def _has_signed(signer: x509.Certificate, signed: x509.Certificate) -> bool:
    try:
        signed.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_times(chain: list[x509.Certificate], now: datetime) -> None:
    for index, certificate in enumerate(chain):
        which = "the certificate" if index == 0 else f"the certificate “{_name(certificate.subject)}” of the chain"
        if certificate.not_valid_after_utc <= now:
            raise Unusable("certificate", f"{which} expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
        if certificate.not_valid_before_utc > now:
            raise Unusable(
                "certificate", f"{which} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
            )


def _check_purpose(leaf: x509.Certificate) -> None:
    """RFC 5280, 4.2.1.12: a certificate that names purposes serves those only."""
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usage):
        message = "the certificate is not for servers (its extended key usage lacks serverAuth): browsers refuse it"
        raise Unusable("certificate", message)


def _check_complete(chain: list[x509.Certificate]) -> None:
    """Check that the last certificate is self-signed, or issued by a known root or a private authority without AIA."""
    last = chain[-1]
    if last.issuer == last.subject or _is_known_root(last.issuer):
        return
    try:
        access = last.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return  # a private authority: its clients have its issuers
    if any(description.access_method == AuthorityInformationAccessOID.CA_ISSUERS for description in access):
        message = (
            f"the chain is not complete: the certificate of “{issuer_of(last)}” is missing. Append it: "
            "`cat certificate.pem intermediate.pem > chain.pem` (authorities call the result fullchain)"
        )
        raise Unusable("certificate", message)


def _is_known_root(name: x509.Name) -> bool:
    """Whether this machine's trust store has an authority of that name."""
    wanted = _name(name)
    for root in ssl.create_default_context().get_ca_certs():
        subject = {key: value for part in root["subject"] for key, value in part}  # type: ignore[str-unpack]
        if wanted in {subject.get("commonName"), subject.get("organizationName")}:
            return True
    return False


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
