"""Internal certificates of names that are too long for the files in which Caddy stores them.

A hostname may have 253 characters and a file name 255, so Caddy's lock file `issue_cert_<name>.lock` is too long for
names from 240 characters on. Orca signs these with Caddy's own root, and they are served like uploaded certificates.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from orca.providers.proxies.caddy.store import replace_file

_LIFE, _RENEWED_BEFORE = timedelta(days=90), timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)


class LongNames:
    """Certificates of long names: one file each, with the key, named by the hostname's digest."""

    def __init__(self, folder: Path, authority: Path) -> None:
        self._folder = folder
        self._authority = authority

    def ensure(self, names: Sequence[str]) -> dict[str, str]:
        """Return certificate and key in PEM by hostname; create missing ones, and replace those that expire soon or are
        signed by another root. Empty while there is no root. Reads and writes files.
        """
        with suppress(FileNotFoundError):
            root = x509.load_pem_x509_certificate((self._authority / "root.crt").read_bytes())
            key = load_pem_private_key((self._authority / "root.key").read_bytes(), password=None)
            assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)  # noqa: S101 - Caddy makes no other
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return {name: self._read(name, root) or self._make(name, root, key) for name in names}
        return {}

    def _read(self, hostname: str, root: x509.Certificate) -> str | None:
        with suppress(OSError, ValueError, InvalidSignature):
            text = self._file(hostname).read_text()
            leaf = x509.load_pem_x509_certificate(text.encode())
            load_pem_private_key(text.encode(), password=None)
            leaf.verify_directly_issued_by(root)
            if leaf.not_valid_after_utc - datetime.now(UTC) > _RENEWED_BEFORE:
                return text
        return None

    def _make(self, hostname: str, root: x509.Certificate, signer: CertificateIssuerPrivateKeyTypes) -> str:
        key, begin = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))  # a common name may have at most 64 characters
            .issuer_name(root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin - _CLOCK_SKEW)
            .not_valid_after(min(begin + _LIFE, root.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname)]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        text = leaf.public_bytes(Encoding.PEM) + private
        replace_file(self._file(hostname), text)
        return text.decode()

    def _file(self, hostname: str) -> Path:
        return self._folder / sha256(hostname.encode()).hexdigest()
